"""What must be true before the first request: one store, a clock, and no intent forgotten.

The supervisor does this once, before it starts workers, and the last part again whenever a worker
has died.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from kvgateway.homes import identity
from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.trust import ALL, Trust
from kvgateway.process.left_intents import QUEUE_GROUP_MAX, Leftover
from kvgateway.state.ports import Intent, Machine, RepairQueue
from tandem.backends.port import Backend
from tandem.core.reply import Found, Side
from tandem.runtime import logs
from tandem.runtime.randomness import Entropy

_LOG = logs.get("preparation")
LOOK_DEADLINE_S = 5.0
LOOK_PAUSE_S = 0.5
PINNED_MAX = 100_000
"""Queued repairs that are pinned one by one at a start; with more, reads ask the queue."""


async def agree_on_store(
    homes: Mapping[Side, Backend],
    kept: str,
    entropy: Entropy,
    time: HomeTime,
    trust: Trust,
    own: identity.OwnFile | None = None,
) -> str:
    """The store id, which is `kept` if this gateway has one; else it is found in the homes, or at
    the very first start made and written to both.

    Waits for homes that do not answer as long as nothing can be decided without them, and until the
    homes' time is known. A home that is empty though the store is not new lacks everything:
    `trust` is told. An id that was given counts once no other gateway, which may be starting at the
    same time, can give another one any more. `own` stands for S3, if that is a file. Raises
    ConfigurationError when the homes belong to different stores, or the store to other gateways.
    """
    fresh, nonce = entropy.token(16).hex(), entropy.token(8)
    while True:
        replies = await identity.look(homes, LOOK_DEADLINE_S, time)
        verdict = identity.judge(kept, fresh, replies, own)
        given = verdict.empty if verdict.store_id and time.known() else ()
        # KVSP last: whoever is killed in between must not find that it is older than the file.
        for side in sorted(given, key=lambda side: side is Side.KVSP):
            if verdict.store_id != fresh:
                trust.missed(side, ALL, time.now_us())
            await identity.give(
                homes[side], replies[side], verdict.store_id, nonce, LOOK_DEADLINE_S,
                again=bool(kept),
            )  # fmt: skip
        for side, reply in replies.items():
            if isinstance(reply, Found):
                await identity.note_life(trust, homes[side], reply, time, LOOK_DEADLINE_S)
        usable = [side for side, objection in verdict.barred.items() if not objection]
        if usable and time.known() and (kept or len(usable) == len(homes)):
            return verdict.store_id
        if given:
            await asyncio.sleep(max(identity.give_age_max_us(homes[s]) for s in given) / 1e6)
        else:
            _LOG.warning("waiting_for_homes", why={s.value: o for s, o in verdict.barred.items()})
            await asyncio.sleep(LOOK_PAUSE_S)


async def note_damage(
    leftovers: Sequence[Leftover], enter: Callable[[Trust], Awaitable[None]], now_us: int
) -> None:
    """Where a journal was damaged, both homes may lack what it held, until a crawl has passed:
    `enter` makes that durable. If that fails (OSError), all are left for a later try."""
    if not any(leftover.damaged for leftover in leftovers):
        return
    _LOG.error("journal_damaged", effect="both homes are behind until a crawl")
    trust = Trust()
    for side in Side:
        trust.missed(side, ALL, now_us)
    try:
        await enter(trust)
    except BaseException:
        for leftover in leftovers:
            leftover.release()
        raise


async def pin_queue(queue: RepairQueue, machine: Machine, pinned_max: int = PINNED_MAX) -> None:
    """What is queued is wanted by reads again, as it was before the restart."""
    queued = await queue.sample(pinned_max + 1)
    intents = [Intent(one.task.key, one.task.version) for one in queued[:pinned_max]]
    for start in range(0, len(intents), QUEUE_GROUP_MAX):
        machine.pin(intents[start : start + QUEUE_GROUP_MAX])
    if len(queued) > pinned_max:
        machine.note_spill()

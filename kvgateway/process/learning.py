"""Which store this is, and from when on versions may be minted: learned once, from both homes."""

import asyncio
from pathlib import Path
from typing import Final

from kvgateway.homes import identity
from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.trust import ALL, Trust
from kvgateway.homes.trust_file import DiskTrustFile
from kvgateway.process.places import Places
from kvgateway.process.preparation import agree_on_store
from kvgateway.state import queue_damage
from kvgateway.state.clock_bound import ClockBound
from tandem.backends.opening import Homes
from tandem.backends.store_id import is_store_id
from tandem.core.reply import Side
from tandem.errors import ConfigurationError
from tandem.runtime import stable_files
from tandem.runtime.passing import start_needs
from tandem.runtime.randomness import Entropy

_CLOCK_SPARE_S: Final = 0.001


async def learn_store(
    places: Places, homes: Homes, bound: ClockBound, time: HomeTime, entropy: Entropy
) -> str:
    """The store id, once the homes' time has passed every version of the last run.

    Raises ConfigurationError when the homes are not those of this gateway, or when a file that a
    start needs is in the way, or cannot be written.
    """
    kept = places.store_id
    text = await asyncio.to_thread(_text_of, kept)
    trust, file = Trust(), DiskTrustFile(places.trust)
    trust_damaged = await asyncio.to_thread(file.is_damaged)
    if not trust_damaged:
        with start_needs(places.trust):
            await file.exchange(trust)
    of_s3 = homes.labels[Side.S3]
    own = identity.OwnFile(of_s3.location, kept) if of_s3.kind == "file" else None
    store_id = await agree_on_store(homes.backends, text, entropy, time, trust, own)
    queue_missed = queue_damage.is_missed(places.queue)
    if queue_missed or trust_damaged:
        for side in Side:
            trust.missed(side, ALL, time.now_us())
    with start_needs(places.trust):
        await file.exchange(trust)
    if queue_missed:
        await asyncio.to_thread(queue_damage.note, places.queue)
    if store_id != text:
        with start_needs(kept):
            await stable_files.replace_on_thread(kept, f"{store_id}\n".encode())
    await asyncio.sleep(bound.wait_us(time.now_us()) / 1e6 + _CLOCK_SPARE_S)
    with start_needs(places.clock_bound):
        await asyncio.to_thread(bound.begin, time.now_us(), entropy.token)
    return store_id


def _text_of(path: Path) -> str:
    try:
        text = path.read_text().strip()
        if text and not is_store_id(text):
            raise ValueError(f'"{text}" is no store id')
        return text
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        cure = "remove the file: the homes hold the store id"
        raise ConfigurationError([f"{path} cannot be read ({error}); {cure}"]) from None

"""What a worker shares with the others of its machine, and its own journal, opened together."""

from dataclasses import dataclass
from functools import partial

from kvgateway.homes.switchboard import SwitchBoard
from kvgateway.process.places import Places
from kvgateway.process.post import Post
from kvgateway.settings import GatewaySettings
from kvgateway.state.journal import DiskJournal
from kvgateway.state.journal_slots import claim
from kvgateway.state.queue import SqliteQueue
from kvgateway.state.quota_memory import QuotaMemory
from kvgateway.state.shared import SharedMachine
from kvgateway.state.shared_place import Place
from kvgateway.state.switches import SwitchFile
from tandem.runtime import logs
from tandem.runtime.randomness import Entropy

_LOG = logs.get("data_path")


@dataclass(frozen=True, slots=True)
class Stores:
    """What a worker shares with the others of its machine, and its own journal."""

    place: Place
    machine: SharedMachine
    quotas: QuotaMemory
    queue: SqliteQueue
    journal: DiskJournal
    switches: SwitchBoard


async def open_stores(
    post: Post, settings: GatewaySettings, places: Places, entropy: Entropy
) -> Stores:
    """Opens all of it; ConfigurationError when a file cannot be used."""
    place = Place.join(post.machine, places.gateway)
    return Stores(
        place=place,
        machine=SharedMachine(place.directory, gateway_id=post.gateway_id, random=entropy.token),
        quotas=QuotaMemory(place.quotas, post.seat),
        queue=await SqliteQueue.open(places.queue, settings.repair_rows_max),
        journal=DiskJournal(partial(claim, places.journal), refused=_journal_refused),
        switches=SwitchBoard(SwitchFile(places.switches)),
    )


def _journal_refused(reason: str) -> None:
    _LOG.error("journal_unwritable", why=reason, effect="writes need both homes")

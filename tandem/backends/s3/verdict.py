"""What the probe learned of a store, kept in a file: a gateway starts with it while S3 is down."""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from tandem.runtime import logs, stable_files

_LOG = logs.get("s3")
VALID_US: Final = 86_400_000_000
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """A store that can be used, and how."""

    etag_quotes: bool
    """Whether `If-Match` wants the ETag in quotes, as HTTP says; Ceph RGW 16 wants it without."""
    conditional_delete: bool
    """Whether DELETE obeys `If-Match`; where not, tombstones stay for ever."""
    refuses_old_signatures: bool
    """Whether a signature 20 minutes old is refused; where not, tombstones stay for ever."""
    ahead_of_machine_us: int
    """How far the store's clock was ahead of the machine's."""
    server: str
    """What the store calls itself in the `Server` header."""
    probed_at_us: int
    """When it was probed, by the store's clock."""

    def describe(self) -> str:
        """For logs and status."""
        quotes = "quoted" if self.etag_quotes else "unquoted"
        delete = "works" if self.conditional_delete else "is ignored"
        old = "refused" if self.refuses_old_signatures else "accepted"
        return f"{quotes} ETags, conditional DELETE {delete}, old signatures are {old}"

    def valid(self, server: str, now_us: int) -> bool:
        """Whether it still speaks of this server, and was found within the last day."""
        return self.server == server and abs(now_us - self.probed_at_us) < VALID_US


_FIELDS: Final = {field.name: field.type for field in fields(Verdict)}


class VerdictFile:
    """The verdicts on all buckets that this machine has probed, by the bucket's address."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self, url: str) -> Verdict | None:
        """The verdict on a bucket; None when there is none that can be read. Blocks."""
        stored = self._read().get(url)
        if not isinstance(stored, dict) or {n: type(v) for n, v in stored.items()} != _FIELDS:
            return None
        return Verdict(**stored)

    def save(self, url: str, verdict: Verdict) -> None:
        """Adds or replaces a verdict, all or nothing; OSError when it cannot. Blocks."""
        verdicts = {**self._read(), url: asdict(verdict)}
        text = json.dumps({"format": FORMAT, "verdicts": verdicts}, indent=2) + "\n"
        beside = self._path.with_suffix(f".{os.getpid()}.tmp")
        stable_files.replace(self._path, text.encode(), beside=beside)

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self._path.read_text())
            verdicts = content["verdicts"] if content["format"] == FORMAT else {}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            _LOG.warning("s3_verdicts_unreadable", path=str(self._path), error=str(error))
            return {}
        return verdicts if isinstance(verdicts, dict) else {}

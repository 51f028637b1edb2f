"""How the address of a database is written, and how much of it may be shown."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from tandem.errors import ConfigurationError

# A password that is not escaped moves the borders of the parts; what it is taken for is shown.
_ADDRESS: Final = re.compile(
    r"""postgres(ql)?://
    ([^/?#@\[\]]*@)?                                                # user and password
    (\[[\da-fA-F:.]+\]|[^/?#@:,\[\]]*)(:\d+)?                       # host and port
    (,(\[[\da-fA-F:.]+\]|[^/?#@:,\[\]]*)(:\d+)?)*
    (/[^/?#@]*)?                                                    # database
    (\?\w+=[^&#]*(&\w+=[^&#]*)*)?""",
    re.VERBOSE,
)
_HALF_ESCAPED: Final = re.compile(r"%(?![\da-fA-F]{2})")
_FILES: Final = frozenset({"passfile", "sslcert", "sslcrl", "sslkey", "sslrootcert"})
_HOW: Final = (
    "must be written as postgresql://user:password@host:port/database?parameter=value, and in its"
    " parts / ? # @ [ ] % as %2F %3F %23 %40 %5B %5D %25"
)


def refuse_unreadable(dsns: Sequence[str]) -> None:
    """ConfigurationError, which shows no secret, when one could be taken for another, or names a
    file that is not there: a server that is not there is waited for."""
    mistakes = [
        f"address {number} of a database {mistake}"
        for number, dsn in enumerate(dsns, start=1)
        for mistake in _mistakes(dsn)
    ]
    if mistakes:
        raise ConfigurationError(mistakes)


def _mistakes(dsn: str) -> Iterator[str]:
    if not _ADDRESS.fullmatch(dsn) or _HALF_ESCAPED.search(dsn):
        yield _HOW
        return
    for name, path in parse_qsl(urlsplit(dsn).query):
        if name in _FILES and not Path(path).is_file():
            yield f"names a file that is not there: {name}={path}"


def label_of(dsn: str) -> str:
    """The database as logs may show it: without its user, password and parameters."""
    parts = urlsplit(dsn)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}" or "the database of the environment"

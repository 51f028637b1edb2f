"""Tokens that are no records of the store: the admin's of the configuration, and those that a
gateway makes in its data directory, for people who develop on its machine and for its crawler."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tandem.errors import ConfigurationError
from tandem.runtime import stable_files
from tandem.runtime.passing import start_needs
from tandem.runtime.randomness import Entropy

ADMIN_TOKEN_CHARS_MIN: Final = 16
"""A shorter one could be guessed."""
_BYTES: Final = 32
_SHOWN_CHARS: Final = 4


class _Kind(NamedTuple):
    """A token that is made, in a file of the data directory."""

    file: str
    prefix: str


_DEVELOPMENT: Final = _Kind("development-token", "tdmdev_")
_CRAWLER: Final = _Kind("crawler-token", "tdmcrawler_")


def admin_token(text: str, file: str) -> str:
    """The admin token that settings give, as text or as the name of a file; empty for none.

    Raises ConfigurationError when the file cannot be read, or what is given cannot be a token.
    """
    if text and file:
        raise ConfigurationError(["admin_token, admin_token_file: give one of them, not both"])
    source = "admin_token"
    if file:
        source = f"admin_token_file {file}"
        try:
            text = Path(file).read_text().strip()
        except OSError as error:
            raise ConfigurationError([f"{source}: cannot be read: {error.strerror}"]) from None
        except ValueError:
            raise ConfigurationError([f"{source}: cannot be read: it is no text"]) from None
        if not text:
            raise ConfigurationError([f"{source}: is empty"])
    if text and not _may_be_token(text):
        must = f"must have {ADMIN_TOKEN_CHARS_MIN} printable ASCII characters or more, no spaces"
        raise ConfigurationError([f"{source} {last_characters(text)}: {must}"])
    return text


def named_admin_token(text: str, file: str) -> Mapping[str, str]:
    """The same by the setting that names its file, to notice when the file holds another one; empty
    where no setting names one."""
    return {"admin_token_file": admin_token(text, file)} if file else {}


def last_characters(token: str) -> str:
    """What may be shown of a token: enough to tell it from another one."""
    return f"...{token[-_SHOWN_CHARS:]}" if len(token) >= ADMIN_TOKEN_CHARS_MIN else "(hidden)"


def development_token(data: Path) -> str:
    """The development token of the gateway with this data directory; empty when there is none."""
    return _read(data, _DEVELOPMENT)


def make_development_token(data: Path, entropy: Entropy) -> str:
    """The same; it is made, for the owner's eyes alone, when there is none yet or its file is
    damaged. Raises ConfigurationError when it cannot be written."""
    return _made(data, _DEVELOPMENT, entropy)


def crawler_token(data: Path) -> str:
    """What the crawler with this data directory shows to its gateway; empty when there is none."""
    return _read(data, _CRAWLER)


def make_crawler_token(data: Path, entropy: Entropy) -> str:
    """The same; it is made as that is."""
    return _made(data, _CRAWLER, entropy)


def _read(data: Path, kind: _Kind) -> str:
    """What cannot be read, or cannot be a token, is none."""
    try:
        text = (data / kind.file).read_text().strip()
    except (OSError, ValueError):
        return ""
    return text if _may_be_token(text) else ""


def _made(data: Path, kind: _Kind, entropy: Entropy) -> str:
    place = data / kind.file
    with start_needs(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        if not _read(data, kind):
            stable_files.replace(place, f"{kind.prefix}{entropy.token(_BYTES).hex()}\n".encode())
    return _read(data, kind)


def _may_be_token(text: str) -> bool:
    printable = text.isascii() and text.isprintable() and " " not in text
    return printable and len(text) >= ADMIN_TOKEN_CHARS_MIN

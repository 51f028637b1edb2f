"""Which namespace a Worker knows under which name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kvctl.endings import Ended, Ending
from tandem.runtime.settings import Address

_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")


@dataclass(frozen=True, slots=True)
class Binding:
    """A namespace and the name of the variable that a Worker has for it."""

    name: str
    namespace: str
    """The id."""
    title: str


@dataclass(frozen=True, slots=True)
class Door:
    """Where Tandem's HTTP port is, and what opens it."""

    address: Address
    token: str
    """Empty when nothing is demanded."""
    authorities: str | None = None
    """Of its certificate, as PEM text; empty: those that the machine trusts; None: no TLS."""


def split_name(argument: str) -> tuple[str, str]:
    """TITLE=BINDING or TITLE alone, whose binding is made of the title.

    `Ended` when a binding is no name of a variable.
    """
    title, _, name = argument.rpartition("=")
    if not title:
        return argument, binding_name(argument)
    if not _IDENTIFIER.fullmatch(name):
        raise Ended(Ending.USAGE, f"{name!r} cannot be the name of a binding, such as ARTICLES")
    return title, name


def binding_name(title: str) -> str:
    """`my-articles` becomes `MY_ARTICLES`; a title without any Latin letter or digit, `KV`."""
    name = re.sub(r"[^A-Z0-9]+", "_", title.upper()).strip("_")
    if not name:
        return "KV"
    return f"KV_{name}" if name[0].isdigit() else name


def distinct(bindings: Sequence[Binding]) -> Sequence[Binding]:
    """Each of them once. Ends the command when two namespaces have one name."""
    named: dict[str, Binding] = {}
    for binding in bindings:
        first = named.setdefault(binding.name, binding)
        if first != binding:
            raise Ended(
                Ending.USAGE,
                f"{first.title!r} and {binding.title!r} would both be bound to {binding.name};"
                f" name one of them, as in {binding.title}={binding.name}_2",
            )
    return [*named.values()]

"""Namespaces go by their ids; people call them by titles."""

import re
from typing import Final

import click

from kvctl.asking import Asked
from kvctl.endings import Ended
from kvctl.output import printable
from tandem.core.key import SYSTEM_NAMESPACE, is_namespace_id

ONE_OR_ALL: Final = click.option(
    "--namespace", "-n", metavar="TITLE|ID", help="Only this one. [default: all]"
)
_AN_ID: Final = re.compile(r"\b[0-9a-f]{32}\b")


def namespace_id(asked: Asked, namespace: str | None) -> str:
    """The id behind a title or an id; "" for None, and for nothing else: an empty title, as of a
    variable that is not set, must not stand for all. Only a title needs a gateway."""
    if namespace is None:
        return ""
    if is_namespace_id(namespace) or namespace == SYSTEM_NAMESPACE:
        return namespace
    return asked.ask(lambda client: client.namespaces.id_of(namespace))


def titles(asked: Asked) -> dict[str, str]:
    """Titles by id, of all accounts that the token reaches; empty where no gateway answers."""
    try:
        found = asked.ask(lambda client: client.namespaces.list(all_accounts=True))
    except Ended:
        return {}
    return {one.id: one.title for one in found}


def shown_name(namespace: str, known: dict[str, str]) -> str:
    """What people call a namespace."""
    if namespace == SYSTEM_NAMESPACE:
        return "(registry)"
    return known.get(namespace, namespace)


def names_ids(text: str) -> bool:
    """Whether there are ids in a text for which titles could stand."""
    return _AN_ID.search(text) is not None


def with_titles(text: str, known: dict[str, str]) -> str:
    """A text in which ids stand for namespaces, with titles instead, fit for a terminal."""
    return _AN_ID.sub(lambda found: printable(shown_name(found[0], known)), text)

"""`kvctl key inspect`, `heal` and `locate`."""

from dataclasses import replace

import pytest

from tandem.core.key import Key, object_name
from tandem.core.operations import Copy, Healed, Inspection
from tandem.core.reply import Side
from tandem.core.version import Version
from tests.kvctl.serving import ARTICLES, Gateway, invoke
from tests.kvgateway.rpc.memory_admin import MemoryOperations
from tests.kvgateway.rpc.memory_store import NAMESPACE

VERSION = Version.at(1_700_000_000_000_000)
KVSP = Copy(Side.KVSP, True, VERSION, b"d" * 16, value_bytes=5, metadata=b'{"a":1}')
BOTH = (KVSP, replace(KVSP, side=Side.S3))
ABSENT = (Copy(Side.KVSP), Copy(Side.S3))


class OneKey(MemoryOperations):
    """Says what a test wants of a key."""

    def __init__(self, inspection: Inspection | None = None, healed: Healed | None = None) -> None:
        super().__init__()
        self._inspection, self._healed = inspection, healed

    async def inspect(self, key: Key) -> Inspection:
        assert self._inspection is not None
        return self._inspection

    async def heal(self, key: Key) -> Healed:
        assert self._healed is not None
        return self._healed


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def test_inspect_puts_both_copies_side_by_side(gateway: Gateway) -> None:
    gateway.operations = OneKey(Inspection(BOTH, True, "tandem/x", "nothing to do"))
    with gateway:
        result = gateway.kvctl("key", "inspect", "k", *ARTICLES)
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["key", "k"],
        ["object", "tandem/x"],
        [],
        ["kvsp", "s3"],
        ["kind", "value", "value"],
        ["version", str(VERSION), str(VERSION)],
        ["written", *["2023-11-14T22:13:20Z"] * 2],
        ["digest", *[(b"d" * 16).hex()] * 2],
        ["bytes", "5", "5"],
        ["expires", "never", "never"],
        ["metadata", '{"a":1}', '{"a":1}'],
        [],
        ["equal", "in", "both", "homes:", "yes"],
        ["a", "heal", "would:", "nothing", "to", "do"],
    ]


@pytest.mark.parametrize(
    ("copies", "equal", "shown"),
    [
        (ABSENT, True, "nothing"),
        ((KVSP, Copy(Side.S3)), False, "nothing"),
        ((KVSP, Copy(Side.S3, failure="timeout")), False, "no answer: timeout"),
    ],
)
def test_what_is_not_in_both_homes_alike_is_a_no(
    gateway: Gateway, copies: tuple[Copy, Copy], equal: bool, shown: str
) -> None:
    gateway.operations = OneKey(Inspection(copies, equal, "tandem/x", "plan"))
    with gateway:
        result = gateway.kvctl("key", "inspect", "k", *ARTICLES)
    assert result.exit_code == 1
    assert shown in result.stdout


def test_inspect_as_json(gateway: Gateway) -> None:
    tombstone = replace(KVSP, side=Side.S3, tombstone=True, metadata=b"", expires_at_s=7)
    gateway.operations = OneKey(Inspection((KVSP, tombstone), True, "tandem/x", "plan"))
    copy = {
        "home": "kvsp", "found": True, "kind": "value", "version": str(VERSION),
        "digest": (b"d" * 16).hex(), "bytes": 5, "expires_at_s": None, "metadata": '{"a":1}',
        "failure": None,
    }  # fmt: skip
    other = {"home": "s3", "kind": "tombstone", "metadata": None, "expires_at_s": 7}
    with gateway:
        assert gateway.json("key", "inspect", "k", *ARTICLES) == {
            "key": "k",
            "object_name": "tandem/x",
            "equal": True,
            "plan": "plan",
            "copies": [copy, {**copy, **other}],
        }


@pytest.mark.parametrize(
    ("healed", "status", "line"),
    [
        (Healed(True, (Side.S3,)), 0, "healed k: copied to s3\n"),
        (Healed(True), 0, "healed k: both homes were equal already\n"),
        (Healed(False, reasons=("s3: timeout", "gone")), 1, "not healed k: s3: timeout; gone\n"),
    ],
)
def test_heal_says_what_it_did(gateway: Gateway, healed: Healed, status: int, line: str) -> None:
    gateway.operations = OneKey(healed=healed)
    with gateway:
        result = gateway.kvctl("key", "heal", "k", *ARTICLES)
    assert (result.exit_code, result.stdout) == (status, line)


def test_heal_as_json(gateway: Gateway) -> None:
    gateway.operations = OneKey(healed=Healed(True, (Side.KVSP, Side.S3), ("why",)))
    with gateway:
        assert gateway.json("key", "heal", "k", *ARTICLES) == {
            "key": "k", "equal": True, "copied": ["kvsp", "s3"], "reasons": ["why"],
        }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "environment", "expected"),
    [
        ((), {}, "DDINI"),
        (("-n", NAMESPACE), {}, object_name("tandem/", Key(NAMESPACE, "key"))),
        (("-n", NAMESPACE), {"TANDEM_S3_PREFIX": "p/"}, object_name("p/", Key(NAMESPACE, "key"))),
        (("-n", NAMESPACE, "--prefix", ""), {}, object_name("", Key(NAMESPACE, "key"))),
    ],
)
def test_locate_works_without_a_gateway(
    options: tuple[str, ...], environment: dict[str, str], expected: str
) -> None:
    result = invoke("key", "locate", "key", *options, environment=environment)
    assert (result.exit_code, result.stdout) == (0, expected + "\n")


@pytest.mark.parametrize("prefix", ["p", "/p/", "p//q/"])
def test_locate_refuses_what_no_object_begins_with(prefix: str) -> None:
    result = invoke("key", "locate", "key", "-n", NAMESPACE, "--prefix", prefix)
    assert result.exit_code == 2
    assert '--prefix: "' in result.stderr
    assert 'expected a path of at most 171 bytes with "/" at its end' in result.stderr


def test_locate_asks_for_the_id_behind_a_title(gateway: Gateway) -> None:
    with gateway:
        located = gateway.json("key", "locate", "key", *ARTICLES)
    name = object_name("tandem/", Key(NAMESPACE, "key"))
    assert located == {"key": "key", "object_name": name}


def test_locate_refuses_what_is_no_key() -> None:
    result = invoke("key", "locate", "..")
    assert result.exit_code == 2
    assert 'key: ".." is not allowed' in result.stderr

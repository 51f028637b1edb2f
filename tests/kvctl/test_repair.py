"""`kvctl repair`: which keys it heals, what it tells of them, and what it refuses."""

import pytest

from tandem.core.key import Key
from tandem.core.operations import Healed
from tandem.core.reply import Side
from tests.kvctl.serving import ARTICLES, Gateway
from tests.kvgateway.rpc.memory_admin import MemoryOperations
from tests.kvgateway.rpc.memory_store import NAMESPACE


class Healing(MemoryOperations):
    """Heals each key as its name says, and remembers which it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def heal(self, key: Key) -> Healed:
        assert key.namespace == NAMESPACE
        self.asked.append(key.name)
        if "stuck" in key.name:
            return Healed(False, reasons=("s3: timeout", "gone"))
        return Healed(True, (Side.S3,) if "drifted" in key.name else ())


@pytest.fixture
def healing() -> Healing:
    return Healing()


@pytest.fixture
def gateway(healing: Healing) -> Gateway:
    return Gateway(operations=healing)


@pytest.mark.parametrize(
    "given",
    [
        (),
        ("k", "--all"),
        ("k", "--prefix", "k"),
        ("--prefix", "k", "--all"),
        ("--prefix", ""),
        ("k", "--prefix", ""),
    ],
)
def test_what_is_to_be_repaired_is_said_in_one_way(
    gateway: Gateway, healing: Healing, given: tuple[str, ...]
) -> None:
    gateway.hold("k")
    with gateway:
        result = gateway.kvctl("repair", *given, *ARTICLES)
    assert (result.exit_code, result.stdout, healing.asked) == (2, "", [])


def test_an_empty_prefix_needs_all(gateway: Gateway, healing: Healing) -> None:
    for name in ("a", "b/drifted"):
        gateway.hold(name)
    with gateway:
        refused = gateway.kvctl("repair", "--prefix", "", *ARTICLES)
        assert "an empty --prefix never stands for all keys; spell out --all" in refused.stderr
        result = gateway.kvctl("repair", "--all", *ARTICLES)
    assert (result.exit_code, result.stdout) == (0, "2 keys equal now, 1 of them repaired\n")
    assert sorted(healing.asked) == ["a", "b/drifted"]


@pytest.mark.parametrize(("given", "expected"), [("b/", ["b/1", "b/2"]), ("c", [])])
def test_a_prefix_names_the_keys_that_begin_with_it(
    gateway: Gateway, healing: Healing, given: str, expected: list[str]
) -> None:
    for name in ("a", "b", "b/1", "b/2"):
        gateway.hold(name)
    with gateway:
        assert gateway.json("repair", "--prefix", given, *ARTICLES) == {
            "equal": len(expected), "copied": 0, "failed": [],
        }  # fmt: skip
    assert sorted(healing.asked) == expected


def test_a_name_is_healed_though_no_listing_shows_it(gateway: Gateway, healing: Healing) -> None:
    with gateway:
        result = gateway.kvctl("repair", "drifted", *ARTICLES)
    assert (result.exit_code, result.stdout) == (0, "1 key equal now, 1 of them repaired\n")
    assert healing.asked == ["drifted"]


def test_each_of_more_keys_than_a_batch_is_healed_once(gateway: Gateway, healing: Healing) -> None:
    names = [f"{at:04}" for at in range(16 * 8 * 2 + 1)]
    for name in names:
        gateway.hold(name)
    with gateway:
        assert gateway.json("repair", "--all", *ARTICLES)["equal"] == len(names)
    assert sorted(healing.asked) == names


def test_what_stays_unequal_is_told_and_is_a_no(gateway: Gateway) -> None:
    for at in range(22):
        gateway.hold(f"stuck{at:02}\x1b")
    gateway.hold("drifted")
    with gateway:
        result = gateway.kvctl("repair", "--all", *ARTICLES)
        document = gateway.kvctl("repair", "stuck", *ARTICLES, "--json")
    assert result.exit_code == 1
    first, *failed, last = result.stdout.splitlines()
    assert first == "1 key equal now, 1 of them repaired"
    assert len(failed) == 20
    assert failed[0].startswith("not repaired stuck")
    assert failed[0].endswith("\\x1b: s3: timeout; gone")
    assert last == "and 2 more"
    assert (document.exit_code, document.stdout) == (
        1, '{"equal": 0, "copied": 0, "failed": ["stuck: s3: timeout; gone"]}\n',
    )  # fmt: skip


def test_an_unknown_namespace_and_a_silent_gateway_are_told(gateway: Gateway) -> None:
    with gateway:
        unknown = gateway.kvctl("repair", "--all", "-n", "nowhere")
        silent = gateway.kvctl("repair", "--all", *ARTICLES, "--gateway", "127.0.0.1:1")
    assert (unknown.exit_code, silent.exit_code) == (1, 3)
    assert "no namespace has the title 'nowhere'" in unknown.stderr
    assert "no gateway at 127.0.0.1:1" in silent.stderr

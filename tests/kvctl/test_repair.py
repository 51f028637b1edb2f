"""`kvctl repair`: which keys it heals, what it tells of them, and what it refuses."""

import json

import pytest

from tandem.core.key import Key
from tandem.core.operations import Compared, Healed
from tandem.core.reply import Side
from tests.kvctl.serving import ARTICLES, Gateway
from tests.kvgateway.rpc.memory_admin import MemoryOperations
from tests.kvgateway.rpc.memory_store import NAMESPACE


class Healing(MemoryOperations):
    """Finds and heals each key as its name says, and remembers which it was asked to heal."""

    page = 1000

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.listed: list[str] = []
        """What some home lists, tombstones too."""

    async def heal(self, key: Key) -> Healed:
        assert key.namespace == NAMESPACE
        self.asked.append(key.name)
        if "stuck" in key.name:
            return Healed(False, reasons=("s3: timeout", "gone"))
        return Healed(True, (Side.S3,) if "drifted" in key.name else ())

    async def compare(self, namespace: str, prefix: str, after: str) -> Compared:
        assert namespace == NAMESPACE
        below = [one for one in sorted(self.listed) if one.startswith(prefix) and one > after]
        page = below[: self.page]
        differing = [one for one in page if "drifted" in one or "stuck" in one or "flying" in one]
        more = page[-1] if len(below) > len(page) else None
        return Compared(len(page) - len(differing), tuple(differing), more)


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
    healing.listed = ["a", "b/drifted"]
    with gateway:
        refused = gateway.kvctl("repair", "--prefix", "", *ARTICLES)
        assert "an empty --prefix never stands for all keys; spell out --all" in refused.stderr
        assert healing.asked == []
        result = gateway.kvctl("repair", "--all", *ARTICLES)
    assert (result.exit_code, result.stdout) == (0, "2 keys equal now, 1 of them repaired\n")
    assert healing.asked == ["b/drifted"]


@pytest.mark.parametrize(
    ("given", "equal", "expected"),
    [("b/", 3, ["b/1 drifted", "b/2 flying"]), ("c", 0, []), ("a", 1, [])],
)
def test_a_prefix_names_the_keys_that_begin_with_it_and_those_that_differ_are_healed(
    gateway: Gateway, healing: Healing, given: str, equal: int, expected: list[str]
) -> None:
    """No listing of live keys is asked: what one home has, or holds as deleted, is reached too."""
    healing.listed = ["a", "b", "b/1 drifted", "b/2 flying", "b/3", "d drifted"]
    with gateway:
        assert gateway.json("repair", "--prefix", given, *ARTICLES) == {
            "equal": equal, "copied": "b/1 drifted" in expected, "unequal": 0, "failed": [],
        }  # fmt: skip
    assert sorted(healing.asked) == expected


def test_a_name_is_healed_though_no_listing_shows_it(gateway: Gateway, healing: Healing) -> None:
    with gateway:
        result = gateway.kvctl("repair", "drifted", *ARTICLES)
    assert (result.exit_code, result.stdout) == (0, "1 key equal now, 1 of them repaired\n")
    assert healing.asked == ["drifted"]


@pytest.mark.parametrize("page", [1, 7, 1000])
def test_each_key_is_healed_once_however_the_pages_fall(
    gateway: Gateway, healing: Healing, page: int
) -> None:
    healing.page = page
    healing.listed = [f"{at:04} {'drifted' if at % 3 else ''}" for at in range(40)]
    with gateway:
        assert gateway.json("repair", "--all", *ARTICLES)["equal"] == 40
    assert sorted(healing.asked) == [one for one in healing.listed if "drifted" in one]


def test_what_stays_unequal_is_told_and_is_a_no(gateway: Gateway, healing: Healing) -> None:
    healing.listed = ["drifted", *(f"stuck{at:02}\x1b" for at in range(22))]
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
        1, '{"equal": 0, "copied": 0, "unequal": 1, "failed": ["stuck: s3: timeout; gone"]}\n',
    )  # fmt: skip


def test_reasons_are_kept_within_their_bound(gateway: Gateway, healing: Healing) -> None:
    healing.listed = [f"stuck{at:04}" for at in range(1_005)]
    with gateway:
        result = gateway.kvctl("repair", "--all", *ARTICLES, "--json")
    document = json.loads(result.stdout)
    assert (document["unequal"], len(document["failed"])) == (1_005, 1_000)


def test_an_unknown_namespace_and_a_silent_gateway_are_told(gateway: Gateway) -> None:
    with gateway:
        unknown = gateway.kvctl("repair", "--all", "-n", "nowhere")
        silent = gateway.kvctl("repair", "--all", *ARTICLES, "--gateway", "127.0.0.1:1")
    assert (unknown.exit_code, silent.exit_code) == (1, 3)
    assert "no namespace has the title 'nowhere'" in unknown.stderr
    assert "no gateway at 127.0.0.1:1" in silent.stderr


def test_of_a_namespace_that_is_not_there_no_key_is_called_equal(gateway: Gateway) -> None:
    with gateway:
        result = gateway.kvctl("repair", "--all", "-n", "0" * 31 + "7")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no namespace has the id 00000000000000000000000000000007" in result.stderr

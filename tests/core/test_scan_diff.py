"""The difference of two listings: as two dicts differ, however the pages are cut."""

from collections.abc import Mapping
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tandem.core.record import Kind
from tandem.core.reply import Side
from tandem.core.scan_diff import Difference, Entry, OneListing, ScanDiff

Listing = Mapping[str, bytes]

listings = st.dictionaries(
    st.text("ab\x00~é\U00010000", min_size=1, max_size=3),
    st.sampled_from([b"digest 1", b"digest 2"]),
    max_size=12,
)


def _entry(listing: Listing, name: str) -> Entry | None:
    return Entry(name, listing[name], size=31) if name in listing else None


def _expected(kvsp: Listing, s3: Listing) -> list[Difference]:
    """What two dicts say, in order of names."""
    differing = [name for name in kvsp.keys() | s3.keys() if kvsp.get(name) != s3.get(name)]
    return [Difference(name, _entry(kvsp, name), _entry(s3, name)) for name in sorted(differing)]


def _pages(listing: Listing, cuts: list[int]) -> list[list[Entry]]:
    """The listing in order, cut at these places; cutting twice at one makes an empty page."""
    entries = [Entry(name, listing[name], size=31) for name in sorted(listing)]
    return [entries[start:end] for start, end in pairwise([0, *sorted(cuts), len(entries)])]


cuts = st.lists(st.integers(0, 8), max_size=5)


@given(listings, listings, cuts, cuts, st.lists(st.sampled_from(Side)))
def test_the_differences_are_those_of_two_dicts(
    kvsp: Listing, s3: Listing, kvsp_cuts: list[int], s3_cuts: list[int], unasked: list[Side]
) -> None:
    diff = ScanDiff()
    pages = {Side.KVSP: _pages(kvsp, kvsp_cuts), Side.S3: _pages(s3, s3_cuts)}
    found: list[Difference] = []

    def feed(side: Side) -> None:
        page = pages[side].pop(0)
        found.extend(diff.feed(side, page, ended=not pages[side]))

    for side in unasked:
        if pages[side]:
            feed(side)
    while (wanted := diff.wants()) is not None:
        feed(wanted)
    assert pages == {Side.KVSP: [], Side.S3: []}
    assert found == _expected(kvsp, s3)
    assert diff.equal == len(kvsp.items() & s3.items())


def test_a_name_is_judged_only_when_both_listings_have_passed_it() -> None:
    diff = ScanDiff()
    a, b, c = (Entry(name, b"digest", size=31) for name in "abc")
    assert diff.feed(Side.KVSP, [a, b], ended=False) == []
    assert diff.wants() is Side.S3, "the pages that wait are bounded"
    assert diff.feed(Side.S3, [b], ended=False) == [Difference("a", a, None)]
    assert diff.feed(Side.S3, [c], ended=False) == []
    assert diff.feed(Side.KVSP, [], ended=True) == [Difference("c", None, c)]
    assert diff.equal == 1
    assert diff.wants() is Side.S3


def test_a_page_counts_though_nobody_looks_at_its_differences() -> None:
    diff = ScanDiff()
    diff.feed(Side.KVSP, [Entry("a", b"digest", size=31)], ended=True)
    diff.feed(Side.S3, [], ended=True)
    assert diff.wants() is None


def test_what_the_homes_list_beside_the_digest_does_not_matter() -> None:
    diff = ScanDiff()
    diff.feed(Side.KVSP, [Entry("a", b"digest", size=31, metadata=b"{}")], ended=True)
    assert diff.feed(Side.S3, [Entry("a", b"digest", size=0)], ended=True) == []
    assert diff.equal == 1


@given(listings, cuts)
def test_the_only_listing_differs_from_nothing(listing: Listing, cuts: list[int]) -> None:
    pages = _pages(listing, cuts)
    walk = OneListing(Side.KVSP)
    for number, page in enumerate(pages, 1):
        assert walk.wants() is Side.KVSP
        assert walk.feed(Side.KVSP, page, ended=number == len(pages)) == []
    assert walk.wants() is None
    assert (walk.equal, walk.judged, walk.dead) == (len(listing), max(listing, default=""), [])


def test_what_may_be_dead_is_kept_of_the_only_listing_as_of_two() -> None:
    dead = Entry("a", b"d", 27, kind=Kind.TOMBSTONE)
    ending, lasting = Entry("b", b"d", 40, expires_at_s=7), Entry("c", b"d", 40)
    walk, diff = OneListing(Side.KVSP), ScanDiff()
    walk.feed(Side.KVSP, [dead, ending, lasting], ended=True)
    for side in Side:
        diff.feed(side, [dead, ending, lasting], ended=True)
    assert walk.dead == diff.dead == [dead, ending]

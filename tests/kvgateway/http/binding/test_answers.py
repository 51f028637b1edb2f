"""The answer to a value that is read often is made once, and is always that value's own."""

import pytest

from kvgateway.http.binding.answers import ReadAnswers, answer_to_listing, answer_to_write
from tandem.core.envelope import seal
from tandem.core.record import Record
from tandem.core.request import Listing, ListPage, ReadResult, Written
from tandem.core.version import Version
from tandem.runtime.httpd import Response, encode_headers


def _record(number: int, metadata: bytes = b"", expires_at_s: int = 0) -> Record:
    return seal(Version.at(number), b"v", metadata=metadata, expires_at_s=expires_at_s)


def _lines(answers: ReadAnswers, result: ReadResult) -> bytes:
    return _head(answers.of(result))


def _head(answer: Response) -> bytes:
    return answer.headers if isinstance(answer.headers, bytes) else encode_headers(answer.headers)


def test_a_hit_has_the_headers_of_a_miss_but_for_the_cache_status() -> None:
    answers = ReadAnswers()
    records = [_record(1), _record(2, b'{"a":1}'), _record(3, b"1", 2**33), _record(4, b"\n1")]
    for _ in range(2):
        for record in records:
            hit = _lines(answers, ReadResult(record, cached=True))
            miss = _lines(answers, ReadResult(record))
            assert hit == miss.replace(b"MISS", b"HIT")
            assert str(record.version).encode() in hit


def test_the_answer_to_a_hit_is_made_once() -> None:
    answers = ReadAnswers()
    result = ReadResult(_record(1), cached=True)
    assert answers.of(result) is answers.of(result)


def test_what_is_stale_or_unconfirmed_never_takes_the_answer_of_a_hit() -> None:
    answers = ReadAnswers()
    record = _record(1)
    assert b"Stale" not in _lines(answers, ReadResult(record, cached=True))
    assert b"Tandem-Stale: 1" in _lines(answers, ReadResult(record, cached=True, stale=True))
    unconfirmed = ReadResult(record, cached=True, unconfirmed=True)
    assert b"Tandem-Unconfirmed: 1" in _lines(answers, unconfirmed)
    assert b"Tandem-" not in _lines(answers, ReadResult(record, cached=True)).replace(
        b"Tandem-Version", b""
    )


@pytest.mark.parametrize("metadata", [b"\n1", b"1\r", b"[\r\n1]"])
def test_line_ends_in_metadata_are_spaces_in_its_header(metadata: bytes) -> None:
    spaces = metadata.replace(b"\r", b" ").replace(b"\n", b" ")
    lines = _lines(ReadAnswers(), ReadResult(_record(1, metadata)))
    assert lines.endswith(b"\r\nCF-KV-Metadata: %b\r\n" % spaces)


@pytest.mark.parametrize("stale", [False, True])
def test_a_page_says_when_it_may_lack_names(stale: bool) -> None:
    lines = _head(answer_to_listing(Listing("ab" * 16), ListPage((), None, stale)))
    says = b"CF-Cache-Status: STALE\r\nTandem-Stale: 1\r\n" if stale else b""
    assert lines == b"Content-Type: application/json\r\n" + says


def test_a_write_that_was_overtaken_says_by_what() -> None:
    first, second = Version.at(1), Version.at(2)
    says = b"Tandem-Superseded-By: %b\r\n" % second.hex().encode()
    assert says not in _head(answer_to_write(Written(first)))
    overtaken = _head(answer_to_write(Written(first, superseded_by=second)))
    assert overtaken == b"Tandem-Version: %b\r\n%b" % (first.hex().encode(), says)


def test_what_is_remembered_is_bounded() -> None:
    answers = ReadAnswers()
    first = ReadResult(_record(1), cached=True)
    head = answers.of(first).headers
    for number in range(2, 20_000):
        answers.of(ReadResult(_record(number), cached=True))
    assert answers.of(first).headers is not head
    assert answers.of(first).headers == head


def test_the_bytes_of_what_is_remembered_are_bounded() -> None:
    answers = ReadAnswers()
    first = ReadResult(_record(1), cached=True)
    answer = answers.of(first)
    for number in range(2, 40):
        large = seal(Version.at(number), bytes(1 << 20))
        assert answers.of(ReadResult(large, cached=True)).body == large.value
    assert answers.of(first) is not answer
    assert answers.of(first) == answer


def test_a_large_value_is_not_copied() -> None:
    record = seal(Version.at(1), b"x" * 100_000)
    body = ReadAnswers().of(ReadResult(record)).body
    assert isinstance(body, memoryview)
    assert body.obj is record.envelope
    assert bytes(body) == record.value

"""The answer to a value that is read often is made once, and is always that value's own."""

from kvgateway.http.binding.answers import ReadAnswers
from tandem.core.envelope import seal
from tandem.core.record import Record
from tandem.core.request import ReadResult
from tandem.core.version import Version
from tandem.runtime.httpd import encode_headers


def _record(number: int, metadata: bytes = b"", expires_at_s: int = 0) -> Record:
    return seal(Version.at(number), b"v", metadata=metadata, expires_at_s=expires_at_s)


def _lines(answers: ReadAnswers, result: ReadResult) -> bytes:
    headers = answers.of(result).headers
    return headers if isinstance(headers, bytes) else encode_headers(headers)


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

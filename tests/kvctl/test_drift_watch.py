"""`kvctl drift watch`: what it shows in a pipe and on a terminal, and how it ends."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.crawler.served import Served, drifted
from tests.crawler.served import crawled as one
from tests.kvctl.crawled import CrawledGateway
from tests.kvgateway.rpc.memory_store import NAMESPACE

WATCH = ("drift", "watch", "--every", "100ms")
CTRL_C = 130


def read_until(process: "subprocess.Popen[bytes]", wanted: str) -> str:
    """What comes until a line has `wanted`; the test's own bound ends it where none does."""
    assert process.stdout is not None
    shown = ""
    while wanted not in shown:
        line = process.stdout.readline()
        assert line, f"it ended without {wanted}: {shown}"
        shown += line.decode()
    return shown


def test_it_shows_what_the_crawler_does_and_what_was_found_and_goes_on(
    crawled: CrawledGateway,
) -> None:
    crawled.found(one(NAMESPACE, tally=drifted()))
    crawled.tell(lambda crawler: _doing(crawler, f"crawling {NAMESPACE}"))
    with crawled.process(*WATCH) as process:
        shown = read_until(process, "not repaired")
        assert "crawling articles" in shown
        assert "articles: 1 key missing in s3, 4.2 KiB, the oldest for 65 s" in shown
        crawled.tell(lambda crawler: _doing(crawler, "resting"))
        read_until(process, "resting")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert (process.returncode, err) == (CTRL_C, b"")


def test_before_the_first_crawl_it_says_so(crawled: CrawledGateway) -> None:
    with crawled.process(*WATCH) as process:
        assert "crawler-1" in read_until(process, "no crawl has ended yet")


def test_json_is_a_status_a_line(crawled: CrawledGateway) -> None:
    with crawled.process(*WATCH, "--json") as process:
        assert process.stdout is not None
        for _ in range(3):
            assert json.loads(process.stdout.readline())["crawler_id"] == "crawler-1"


def test_a_crawler_that_goes_ends_it_with_the_reason(crawled: CrawledGateway) -> None:
    with crawled.process(*WATCH) as process:
        read_until(process, "no crawl has ended yet")
        crawled.complete(crawled.crawler.stop())
        _, err = process.communicate()
        crawled.complete(crawled.crawler.start())
    assert process.returncode == 3
    assert err.decode().startswith(f"kvctl: no crawler at {crawled.crawler.address}: ")


@contextmanager
def on_a_terminal(crawled: CrawledGateway) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    ours, theirs = pty.openpty()
    environment = {**os.environ, **crawled.environment, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        [sys.executable, "-m", "kvctl.main", *WATCH],
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, env=environment,
    ) as process:  # fmt: skip
        os.close(theirs)
        try:
            yield process, ours
        finally:
            process.kill()
            os.close(ours)


def seen_until(terminal: int, wanted: bytes) -> bytes:
    shown = b""
    while wanted not in shown:
        shown += os.read(terminal, 65536)
    return shown


def test_a_terminal_sees_one_picture_that_changes(crawled: CrawledGateway) -> None:
    crawled.tell(lambda crawler: _doing(crawler, "first"))
    with on_a_terminal(crawled) as (process, terminal):
        seen_until(terminal, b"first")
        crawled.tell(lambda crawler: _doing(crawler, "second"))
        later = seen_until(terminal, b"second")
        process.send_signal(signal.SIGINT)
        seen_until(terminal, b"\x1b[?25h")  # the cursor is shown again
        assert process.wait() == CTRL_C
    assert b"\x1b[1A" in later, "the picture is drawn over the one before"


@pytest.mark.parametrize("every", ["0s", "99ms", "-1s", "soon"])
def test_a_pause_that_makes_no_sense_is_refused(crawled: CrawledGateway, every: str) -> None:
    result = crawled.kvctl("drift", "watch", "--every", every)
    assert (result.exit_code, result.stdout) == (2, "")


def _doing(crawler: Served, text: str) -> None:
    crawler.board.doing = text

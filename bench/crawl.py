"""How fast the crawler compares equal keys, what it asks of S3, and whether its memory stays flat.

    python -m bench.crawl

A crawl of keys that are equal, over real gRPC and HTTP, where both homes answer from memory (S3's
latency stays out of it); then its parts, and KVSP's share with 50,000 keys in its files. Rates are
per second of CPU time of the process that is meant: what a core can do that has nothing else to do.
Each crawl runs in a process of its own, for its peak of memory.
"""

import asyncio
import gc
import os
import resource
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench.generated_homes import NAMESPACE, PAGE, listing, scanned
from bench.kvsp_reads import KEYS, fill
from bench.load import cpu_s, quantile
from bench.report import Report
from crawler.crawl import Crawl
from crawler.report import CrawlRule
from tandem.backends.kvsp import KvspBackend
from tandem.backends.s3.address import Location
from tandem.backends.s3.listing import Names, parse_page
from tandem.backends.s3.opening import S3Options, open_bucket
from tandem.backends.s3.store import S3Home
from tandem.backends.s3.verdict import Verdict
from tandem.core.key import Key
from tandem.core.reply import Failed, Side
from tandem.core.scan_diff import ScanDiff
from tandem.runtime.clock import SystemClock
from tandem.runtime.randomness import SystemEntropy
from tandem.runtime.serve import COLLECT_EACH
from tandem.wire.scan_codec import parse_entries
from tandem.wire.v1 import storage_pb2 as pb
from tests.e2e.deployment import deployed

SIZES = (100_000, 1_000_000, 10_000_000)
TARGET_PER_S = 100_000
REPEATS = 50
ROUNDS = 5
DEADLINE_S = 60.0
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}


async def run() -> None:
    with Report("crawl") as report:
        report.line("equal keys, compared over gRPC and HTTP; homes that answer from memory")
        for keys in SIZES:
            report.line(await in_own_process(keys))
        report.line(f"(target {TARGET_PER_S:,} per CPU second, 1.00 requests to S3 per 1,000 keys)")
        report.line()
        report.line("parts of the crawler, microseconds of CPU a key")
        for part, us in parts().items():
            report.line(f"{part:<44} {us:.2f}")
        report.line()
        await measure_kvsp(report)


async def in_own_process(keys: int) -> str:
    """What a crawl of so many keys costs, in words."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.crawl", str(keys), stdout=PIPE,
        env={**os.environ, **CREDENTIALS},
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0
    return said.decode().splitlines()[-1]


async def crawl(keys: int) -> None:
    """One crawl, as the crawler's own process would do it."""
    gc.set_threshold(COLLECT_EACH)  # as every program does
    async with generated(keys) as homes:
        cpu_before_s, before_s = time.process_time(), time.perf_counter()
        crawl = Crawl(homes, NAMESPACE, CrawlRule(page_names=PAGE, deadline_s=DEADLINE_S))
        report = await crawl.run()
        used_s, took_s = time.process_time() - cpu_before_s, time.perf_counter() - before_s
    assert report.equal, report.failure
    assert report.tally.equal == keys
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{keys:>10,} keys: {keys / used_s:,.0f} per CPU second, {keys / took_s:,.0f} per second;"
        f" {report.tally.s3_requests * 1000 / keys:.2f} requests to S3 per 1,000 keys;"
        f" peak memory {peak_mib:.0f} MiB"
    )


@asynccontextmanager
async def generated(keys: int) -> AsyncIterator[dict[Side, KvspBackend | S3Home]]:
    """Both homes with so many equal keys, served by another process."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.generated_homes", str(keys), stdin=PIPE, stdout=PIPE
    )
    assert server.stdout is not None
    rows_port, objects_port = map(int, (await server.stdout.readline()).split())
    kvsp = KvspBackend(f"127.0.0.1:{rows_port}", SystemEntropy())
    kvsp.start()
    location = Location("bench", endpoint=f"http://127.0.0.1:{objects_port}", region="us-east-1")
    bucket = await open_bucket(S3Options(location, "", Path()), SystemClock())
    s3 = S3Home(bucket, "", Verdict(True, True, True, 0, "", 0))
    try:
        yield {Side.KVSP: kvsp, Side.S3: s3}
    finally:
        await kvsp.aclose()
        await s3.aclose()
        await server.communicate(b"\n")


def parts() -> dict[str, float]:
    """The work between a page's bytes and the verdict on it, one after the other."""
    body, message = listing("", 2), scanned("", 2).SerializeToString()
    objects = parse_page(body)
    of_s3 = Names(f"{NAMESPACE}/").of(objects)
    of_kvsp = parse_entries(pb.ScanReply.FromString(message))

    def compare() -> None:
        diff = ScanDiff()
        diff.feed(Side.KVSP, of_kvsp, ended=False)
        diff.feed(Side.S3, of_s3, ended=False)
        assert diff.equal == PAGE

    return {
        "the XML of a LIST": us_a_key(lambda: parse_page(body)),
        "names and digests of its objects": us_a_key(lambda: Names(f"{NAMESPACE}/").of(objects)),
        "the reply of a scan": us_a_key(lambda: parse_entries(pb.ScanReply.FromString(message))),
        "the comparison": us_a_key(compare),
    }


def us_a_key(work: Callable[[], object]) -> float:
    """The median over pages."""
    taken_s = []
    for _ in range(REPEATS):
        before_s = time.process_time()
        work()
        taken_s.append(time.process_time() - before_s)
    return quantile(taken_s, 0.5) * 1e6 / PAGE


async def measure_kvsp(report: Report) -> None:
    """What a scan costs KVSP with everything in it: SQLite, the merge of its clusters, gRPC."""
    with TemporaryDirectory(prefix="tandem-bench-") as directory:
        async with deployed(Path(directory) / "system") as deployment:
            deployment.kvsp.start()
            await deployment.serving(deployment.kvsp, deployment.kvsp_address)
            kvsp = KvspBackend(deployment.kvsp_address, SystemEntropy())
            kvsp.start()
            try:
                await fill(kvsp, [Key(NAMESPACE, f"key-{number}") for number in range(KEYS)])
                before_s = cpu_s([deployment.kvsp.pid])
                names = sum([await scan_all(kvsp) for _ in range(ROUNDS)])
                used_s = cpu_s([deployment.kvsp.pid]) - before_s
            finally:
                await kvsp.aclose()
    report.line(f"KVSP with its files: {names / used_s:,.0f} names listed per CPU second")


async def scan_all(kvsp: KvspBackend) -> int:
    names, after = 0, ""
    while True:
        page = await kvsp.scan(NAMESPACE, after=after, prefix="", limit=PAGE, deadline_s=DEADLINE_S)
        assert not isinstance(page, Failed)
        names += len(page.entries)
        if page.next_after is None:
            return names
        after = page.next_after


if __name__ == "__main__":
    uvloop.run(crawl(int(sys.argv[1])) if len(sys.argv) > 1 else run())

"""Every bench of the product, one after the other; results go to bench/results.

    make bench

`bench.s3_clients`, by which the S3 client was chosen, is run by hand; so are `bench.copies`,
`bench.tenants`, `bench.memory` for longer than half a minute, and the last part of `bench.http`
alone, `bench.http_large`.
`bench.workers`, `bench.outages` and half of `bench.large_ways` need what `make servers` installs.
"""

import signal
import subprocess
import sys

PARTS = (
    "rates",
    "client_rate",
    "kvsp_reads",
    "kvsp_engines",
    "http",
    "large_ways",
    "tls",
    "workers",
    "outages",
    "crawl",
    "memory",
)


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    failed = [part for part in PARTS if _status_of(part)]
    for part in failed:
        print(f"bench.{part} failed: its last result is left as it was")
    return len(failed)


def _status_of(part: str) -> int:
    """What a part ends with. At Ctrl-C it is told once, by this process alone, and waited for: it
    has servers to end."""
    process = subprocess.Popen([sys.executable, "-m", f"bench.{part}"], process_group=0)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

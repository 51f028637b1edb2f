"""Every bench of the product, one after the other; results go to bench/results.

    make bench

`bench.s3_clients`, by which the S3 client was chosen, is run by hand; so are `bench.copies`,
`bench.memory` for longer than half a minute, and the last part of `bench.http` alone,
`bench.http_large`.
`bench.workers`, `bench.outages` and half of `bench.large_ways` need what `make servers` installs.
"""

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
    failed = [
        part for part in PARTS if subprocess.run([sys.executable, "-m", f"bench.{part}"]).returncode
    ]
    for part in failed:
        print(f"bench.{part} failed: its last result is left as it was")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())

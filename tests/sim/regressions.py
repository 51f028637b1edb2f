"""Seeds that show something real that was found here, and mended: each runs in every test run.

A seed shows its find only as long as universes are drawn as they are now, so each find has a canary
that brings it back (`canaries`).
"""

from typing import Final

REGRESSIONS: Final = {
    0: "A home's time was taken when the slower home had answered too: a worker's clock stood up "
    "to two seconds back, took its machine's versions for the future and sent no leg; and in the "
    "supervisor the clock's bound fell behind. Canary: home time sampled late.",
    64: "A machine that hears S3 alone is up to a second behind: it stamped a session's writes "
    "below what the session had read. Canary: whole-second clocks not allowed for.",
    580: "A stale answer was not remembered, and a miss in doubt was told although the machine "
    "had the value in hand: the next reader went back in version. Canary: doubtful answers "
    "forgotten.",
}

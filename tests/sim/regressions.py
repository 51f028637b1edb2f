"""Seeds that found something real, and what: each runs in every test run.

A seed shows its find only as long as universes are drawn as they were then. What protects against
the same mistake is the oracle that saw it; the list is the record of what simulation was worth.
"""

from typing import Final

REGRESSIONS: Final = {
    199: "A home's time was sampled when the slower home had answered too: a worker's clock stood "
    "two seconds back, took its machine's versions for the future, and sent no leg.",
    45: "The same in the supervisor: the clock's bound fell behind, and nothing could be minted.",
    772: "A machine that hears S3 alone is up to a second behind: it stamped a session's write "
    "below what the session had read.",
    498: "A stale answer was not remembered: the next reader on the machine went back behind it.",
    976: "An unconfirmed miss was told although the machine had the value in hand.",
}

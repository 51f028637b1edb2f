"""Universes that show something real that was found here, and mended: each runs in every test run.

A seed shows its find only as long as universes are drawn as they are now, so each find has a canary
that brings it back (`canaries`); `docs/proof.md` has all of them.
"""

from typing import Final

from tests.sim.plan import Sort

REGRESSIONS: Final = {
    (11, Sort.GRAVES): "A value that a machine had cached came back from its memory after the key "
    "had been deleted for good. Canary: memory outlives deletion.",
    (
        0,
        Sort.RESTORED,
    ): "A cluster that was restored was used again before the crawler had looked at "
    "it, and repair copied what had been deleted for good. Canary: a restored "
    "cluster used at once.",
}

"""structlog, loaded without rich: it would load that to draw tracebacks, which we write plainly.

It is a sixth of what a program loads at its start.
"""

import sys

_HIDES_RICH = "rich" not in sys.modules
if _HIDES_RICH:
    sys.modules["rich"] = None  # type: ignore[assignment]  # so that it counts as not installed
try:
    import structlog
finally:
    if _HIDES_RICH:
        del sys.modules["rich"]

__all__ = ["structlog"]

"""What npm installs for tests: workerd, Miniflare, wrangler, the TypeScript SDK, and a node.

The node of this machine may be too old for them, so one comes with them.
"""

import hashlib
import platform
from collections.abc import Sequence
from pathlib import Path

MANIFESTS = tuple(Path(__file__).with_name(name) for name in ("package.json", "package-lock.json"))
ROOT = Path(__file__).resolve().parents[3] / ".npm"
MODULES = ROOT / "node_modules"

_CPU = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), "none")
NODE = MODULES / f"node-linux-{_CPU}" / "bin" / "node"
WORKERD = MODULES / f"@cloudflare/workerd-linux-{_CPU.removeprefix('x')}" / "bin" / "workerd"
WRANGLER: Sequence[str | Path] = (NODE, MODULES / "wrangler" / "bin" / "wrangler.js")


def stamp() -> Path:
    """The file that says that just these versions are installed."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in MANIFESTS)).hexdigest()
    return ROOT / f".installed-{digest[:16]}"


def why_missing() -> str | None:
    """What keeps the packages from being used here, or None."""
    if not stamp().exists():
        return "the npm packages are not installed"
    if not (NODE.exists() and WORKERD.exists()):
        return f"no node or workerd for {platform.system()} on {platform.machine()}"
    return None

"""Generates tandem/wire/v1 from proto/tandem/v1: messages, type stubs and gRPC classes."""

import re
import sys
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO_ROOT = ROOT / "proto"
PROTO_DIR = PROTO_ROOT / "tandem" / "v1"
GENERATED_DIR = ROOT / "tandem" / "wire" / "v1"

# protoc takes Python imports from a file's place below proto/; ours live in tandem/wire/v1.
_IMPORT = re.compile(r"^(from|import) tandem\.v1\b", re.MULTILINE)


def generate(target: Path) -> None:
    """Write the generated modules into `target`; SystemExit when a .proto file is not valid."""
    sources = [str(path) for path in sorted(PROTO_DIR.glob("*.proto"))]
    well_known = files("grpc_tools") / "_proto"
    with TemporaryDirectory() as scratch:
        outputs = [f"--{kind}_out={scratch}" for kind in ("python", "pyi", "grpc_python")]
        include = [f"--proto_path={PROTO_ROOT}", f"--proto_path={well_known}"]
        if protoc.main(["protoc", *include, *outputs, *sources]) != 0:
            sys.exit("protoc refused the files in proto/tandem/v1")
        for path in Path(scratch, "tandem", "v1").iterdir():
            target.joinpath(path.name).write_text(
                _IMPORT.sub(r"\1 tandem.wire.v1", path.read_text()), encoding="utf-8"
            )


if __name__ == "__main__":
    for stale in GENERATED_DIR.glob("*_pb2*"):
        stale.unlink()
    generate(GENERATED_DIR)

"""The committed generated code is what proto/ gives today."""

from pathlib import Path

from tools.generate_proto import GENERATED_DIR, generate


def _modules(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(directory.glob("*_pb2*.py*"))}


def test_generated_code_is_fresh(tmp_path: Path) -> None:
    generate(tmp_path)
    committed, fresh = _modules(GENERATED_DIR), _modules(tmp_path)
    stale = [name for name in committed | fresh if committed.get(name) != fresh.get(name)]
    assert not stale, f"run `make proto` and commit the result; stale: {stale}"
    assert fresh, "no .proto file was found"

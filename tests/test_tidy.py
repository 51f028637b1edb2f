"""The house rules that ruff and import-linter cannot hold."""

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PRODUCTS = ("tandem", "kvgateway", "kvsp", "crawler", "kvctl")
CODE = (*PRODUCTS, "tests", "bench", "tools")
GENERATED = "tandem/wire/v1/"

FILE_LINES_MAX = 400
TEST_FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70

NAMES_THAT_REFUSE_NOTHING = re.compile(r"_?(utils?|helpers?|handlers?|common|misc|manager|base)")
BANNED_TEXT = {
    "finish it, or file an issue": re.compile(r"\b(TODO|FIXME|XXX|HACK)\b"),
    "names a package registry's host": re.compile(
        r"pypi\.org|pythonhosted|registry\.npm|(deb|security)\.debian\.org|index-url"
    ),
}
TEXTS = re.compile(
    r".+\.(py|md|toml|txt|ya?ml|json|proto|html|m?js|css|conf)|Makefile|Dockerfile|run"
)

TASK_STARTERS = {"create_task", "ensure_future"}
ANY_EXCEPTION = re.compile(r"\b(Base)?Exception\b")
ALLOWED = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["tidy"]


def _code(*roots: str) -> Iterator[Path]:
    for root in roots:
        for path in sorted((ROOT / root).rglob("*.py")):
            if not _name(path).startswith(GENERATED):
                yield path


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def _nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def _texts() -> Iterator[Path]:
    places = (*CODE, "proto", "docs", "deploy", "examples", ".ci")
    within = (path for place in places for path in (ROOT / place).rglob("*"))
    for path in (*ROOT.glob("*"), *within):
        ours = path != Path(__file__) and "node_modules" not in path.parts
        if ours and path.is_file() and TEXTS.fullmatch(path.name):
            yield path


def long_files() -> Iterator[str]:
    for path in _code(*CODE):
        lines = path.read_text().count("\n")
        if lines > (TEST_FILE_LINES_MAX if _name(path).startswith("tests/") else FILE_LINES_MAX):
            yield f"{_name(path)}:{lines}: too long; split it by owner"


def long_functions() -> Iterator[str]:
    for path in _code(*CODE):
        for node in _nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = (ast.get_docstring(node, clean=False) or "").count("\n")
                lines = (node.end_lineno or node.lineno) - node.lineno + 1 - docstring
                if lines > FUNCTION_LINES_MAX:
                    yield f"{_name(path)}:{node.lineno}: {node.name} has {lines} lines"


def names_that_refuse_nothing() -> Iterator[str]:
    for path in _code(*CODE):
        for part in path.relative_to(ROOT).with_suffix("").parts:
            if NAMES_THAT_REFUSE_NOTHING.fullmatch(part):
                yield f"{_name(path)}:1: name it after what it decides or owns"


def banned_text() -> Iterator[str]:
    for path in _texts():
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for message, pattern in BANNED_TEXT.items():
                if pattern.search(line):
                    yield f"{_name(path)}:{number}: {message}: {line.strip()}"


def unowned_tasks() -> Iterator[str]:
    def starts_task(node: ast.AST) -> bool:
        called = node.func if isinstance(node, ast.Call) else None
        return getattr(called, "attr", getattr(called, "id", "")) in TASK_STARTERS

    return _outside("task-owners", starts_task, "a task needs an owner that drains it")


def swallowed_exceptions() -> Iterator[str]:
    def swallows_anything(node: ast.AST) -> bool:
        if not isinstance(node, ast.ExceptHandler) or isinstance(node.body[-1], ast.Raise):
            return False
        return node.type is None or bool(ANY_EXCEPTION.search(ast.unparse(node.type)))

    return _outside("survivors", swallows_anything, "catch the error that you can answer")


def dead_modules() -> Iterator[str]:
    imported = {name for path in _code(*PRODUCTS) for name in _imports(path)}
    allowed = ALLOWED["imported-by-no-program"]
    dead = [
        name
        for path in _code(*PRODUCTS)
        if path.stem not in {"__init__", "__main__", "main"}
        and (name := _name(path)).removesuffix(".py").replace("/", ".") not in imported
    ]
    for name in dead:
        if name not in allowed:
            yield f"{name}:1: no program imports it"
    for name in sorted(allowed.keys() - set(dead)):
        yield f"pyproject.toml:1: {name} is imported, or gone"


def _imports(path: Path) -> Iterator[str]:
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _outside(allowance: str, matches: Callable[[ast.AST], bool], message: str) -> Iterator[str]:
    found = [(_name(p), n) for p in _code(*PRODUCTS) for n in _nodes(p) if matches(n)]
    for name, node in found:
        if name not in ALLOWED[allowance]:
            yield f"{name}:{getattr(node, 'lineno', 1)}: {message}, or see {allowance}"
    for name in sorted(ALLOWED[allowance].keys() - {name for name, _ in found}):
        yield f"pyproject.toml:1: {name} is no longer one of the {allowance}"


RULES = (
    long_files,
    long_functions,
    names_that_refuse_nothing,
    banned_text,
    unowned_tasks,
    swallowed_exceptions,
    dead_modules,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_house_rule(rule: Callable[[], Iterator[str]]) -> None:
    findings = list(rule())
    assert not findings, "\n" + "\n".join(findings)

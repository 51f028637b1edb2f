"""What every test shares: real servers and clients, and property tests without a stopwatch."""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import hypothesis
import pytest
import structlog
from hypothesis.internal.conjecture import providers
from xdist.workermanage import WorkerController

from tests.servers import npm, python_sdks
from tests.servers import postgres as postgresql
from tests.servers.ministack import Ministack
from tests.servers.postgres import Postgres
from tests.servers.rgw import ObjectStore, Rgw
from tests.servers.small_disk import mounted

_Server = TypeVar("_Server", Rgw, Ministack)
_MISSING = pytest.StashKey[set[str]]()
_LONG = ("e2e", "workers", "sim")
"""The directories whose files take longest; the first one mostly waits."""

# Some images ask Python to leave no bytecode; then each of a thousand processes would compile anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Who is started in the background by a shell ignores Ctrl-C, and so would each process of a test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# By itself structlog would have rich draw each traceback, for a second of an event loop's time.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)
# A slow machine is not a wrong result, and one run is like the other: new examples are for `long`.
hypothesis.settings.register_profile("tandem", deadline=None, derandomize=True)
hypothesis.settings.register_profile("long", deadline=None, max_examples=20_000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tandem"))
# It would draw numbers and words from what a process has imported, which is another with each split
# of the suite among processes.
providers._get_local_constants = lambda: providers._local_constants


@pytest.fixture(scope="session")
def rgw(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Rgw]:
    require(Rgw.why_missing(), "Ceph RGW", request.config)
    with _running(Rgw(tmp_path_factory.mktemp("rgw"))) as server:
        yield server


@pytest.fixture
def rgw_on_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Rgw]:
    """A cluster of the test's own that survives `stop`; it takes seconds to start."""
    require(Rgw.why_missing(), "Ceph RGW", request.config)
    with _running(Rgw(tmp_path / "rgw", ObjectStore.BLUESTORE)) as server:
        yield server


@pytest.fixture(scope="session")
def ministack(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Ministack]:
    require(Ministack.why_missing(), "ministack", request.config)
    with _running(Ministack(tmp_path_factory.mktemp("ministack"))) as server:
        yield server


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    require(postgresql.why_missing(), "PostgreSQL", request.config)
    with TemporaryDirectory(prefix="kv-postgres-") as directory:
        server = Postgres(Path(directory))
        server.make()
        yield server
        server.stop("immediate")


@pytest.fixture(scope="session")
def npm_packages(request: pytest.FixtureRequest) -> None:
    """Whoever asks for it has workerd, Miniflare, wrangler and the TypeScript SDK."""
    require(npm.why_missing(), "workerd, Miniflare, wrangler and npm's cloudflare", request.config)


@pytest.fixture(params=python_sdks.VERSIONS)
def python_sdk(request: pytest.FixtureRequest) -> Path:
    """The interpreter of one version of the Python SDK."""
    version: str = request.param
    require(python_sdks.why_missing(version), f"cloudflare {version}", request.config)
    return python_sdks.python(version)


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of 8 MiB."""
    with ExitStack() as stack:
        try:
            stack.enter_context(mounted(tmp_path / "disk", mib=8))
        except RuntimeError as error:
            require(str(error), "a full disk", request.config)
        yield tmp_path / "disk"


@pytest.fixture
def own_logs() -> Iterator[None]:
    """What a test makes of the logs of its process ends with it."""
    before, handlers = structlog.get_config(), logging.getLogger().handlers
    yield
    structlog.configure(**before)
    logging.getLogger().handlers = handlers


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A directory whose path is short, as those of sockets must be; pytest's own grow."""
    with TemporaryDirectory(prefix="kv-") as directory:
        yield Path(directory)


def pytest_configure(config: pytest.Config) -> None:
    """A run that is told to end, as by a `timeout` around it, ends its servers as at Ctrl-C: one of
    several processes hears of it from the first one, which lets it put away what it has."""
    is_first = not hasattr(config, "workerinput")
    signal.signal(signal.SIGTERM, signal.default_int_handler if is_first else lambda *_: None)


def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    """What takes long is begun first, so that several processes come to their end together."""
    tests = config.rootpath / "tests"
    items.sort(key=lambda item: _turn(item.path.relative_to(tests).parts[0]))


def _turn(directory: str) -> int:
    return _LONG.index(directory) if directory in _LONG else len(_LONG)


@contextmanager
def _running(server: _Server) -> Iterator[_Server]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


def require(why_missing: str | None, server: str, config: pytest.Config) -> None:
    """Skips the test, or fails it where nothing may be missing."""
    if why_missing is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{server}: {why_missing}; CI must have it")
    config.stash.setdefault(_MISSING, set()).add(f"{server} ({why_missing})")
    pytest.skip(f"{server}: {why_missing}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One of several test processes tells the first one what it missed."""
    told: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if told is not None:
        told["missing"] = sorted(session.config.stash.get(_MISSING, ()))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    missing = node.config.stash.setdefault(_MISSING, set())
    missing.update(getattr(node, "workeroutput", {}).get("missing", ()))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    missing: set[str] = config.stash.setdefault(_MISSING, set())
    for server in sorted(missing):
        terminalreporter.write_line(
            f"NOT TESTED against {server}: run `make servers`", red=True, bold=True
        )

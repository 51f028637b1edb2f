"""Namespaces and operations in memory, behind the administrative services."""

from collections.abc import Sequence
from dataclasses import replace

from tandem.core.access import DEFAULT_ACCOUNT
from tandem.core.certificate import Certificate, CertificateInUse
from tandem.core.key import Key
from tandem.core.mode import Mode, check_step, steps_from
from tandem.core.mode_step import ModeReport, Objection, WorkerView, effects, objections
from tandem.core.namespace import Namespace, Settings, SettingsChange
from tandem.core.operations import (
    Compared,
    Copy,
    CrawlReport,
    Healed,
    HomeStatus,
    Inspection,
    QueuedRepair,
    QueueStatus,
    Status,
)
from tandem.core.reply import Side
from tandem.core.settings_in_force import SettingsInForce
from tandem.core.token import CreatedToken, Token, TokenWish, hash_of, token_text
from tandem.core.version import Version
from tandem.errors import NamespaceExists, NamespaceNotFound, TokenNotFound
from tests.kvgateway.rpc.memory_store import NAMESPACE


class MemoryRegistry:
    """Ids count up from the one namespace that is always there."""

    def __init__(self) -> None:
        self._found = {NAMESPACE: Namespace(NAMESPACE, "articles", created_at_s=1)}
        self._next = 2
        self.served: set[str] = set()
        """Where the ids are entered whose keys are served."""
        self.failures: list[BaseException] = []
        """Raised by the next calls, one each, after they have done their work."""

    async def create(
        self, title: str, change: SettingsChange, account: str = DEFAULT_ACCOUNT
    ) -> Namespace:
        self._check_free(account, title, "")
        settings = change.applied_to(Settings())
        namespace = Namespace(f"{self._next:032x}", title, settings, self._next, account)
        self._next += 1
        return self._store(namespace)

    async def list(self, account: str | None = None) -> Sequence[Namespace]:
        self._fail()
        found = [n for n in self._found.values() if account in (None, n.account)]
        return sorted(found, key=lambda namespace: namespace.title)

    async def get(self, namespace_id: str) -> Namespace:
        self._fail()
        if namespace_id not in self._found:
            raise NamespaceNotFound(namespace_id)
        return self._found[namespace_id]

    async def find(self, title: str, account: str = DEFAULT_ACCOUNT) -> Namespace:
        self._fail()
        for namespace in self._found.values():
            if (namespace.account, namespace.title) == (account, title):
                return namespace
        raise NamespaceNotFound(title)

    async def rename(self, namespace_id: str, title: str) -> Namespace:
        namespace = await self.get(namespace_id)
        self._check_free(namespace.account, title, namespace_id)
        return self._store(replace(namespace, title=title))

    async def configure(self, namespace_id: str, change: SettingsChange) -> Namespace:
        namespace = await self.get(namespace_id)
        return self._store(replace(namespace, settings=change.applied_to(namespace.settings)))

    async def delete(self, namespace_id: str) -> None:
        if namespace_id not in self._found:
            raise NamespaceNotFound(namespace_id)
        del self._found[namespace_id]
        self.served.discard(namespace_id)
        self._fail()

    def changed(self, namespace: Namespace) -> Namespace:
        """Puts a namespace in the place of what it was."""
        return self._store(namespace)

    def _check_free(self, account: str, title: str, but: str) -> None:
        for other in self._found.values():
            if (other.account, other.title) == (account, title) and other.id != but:
                raise NamespaceExists(title)

    def _store(self, namespace: Namespace) -> Namespace:
        self._found[namespace.id] = namespace
        self.served.add(namespace.id)
        self._fail()
        return namespace

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


class MemoryTokens:
    """Ids and secrets count up."""

    def __init__(self) -> None:
        self.found: dict[str, Token] = {}

    async def create(self, wish: TokenWish) -> CreatedToken:
        number = len(self.found) + 1
        token_id, secret = f"{number:016x}", f"{number:064x}"
        token = Token(
            token_id, wish.name, wish.permission, hash_of(secret), wish.account, wish.namespaces,
            number, number + wish.ttl_s if wish.ttl_s else 0, wish.quota,
        )  # fmt: skip
        self.found[token_id] = token
        return CreatedToken(token, token_text(token_id, secret))

    async def list(self, account: str | None = None) -> Sequence[Token]:
        found = [t for t in self.found.values() if account in (None, t.account)]
        return sorted(found, key=lambda token: token.name)

    async def get(self, token_id: str) -> Token:
        if token_id not in self.found:
            raise TokenNotFound(token_id)
        return self.found[token_id]

    async def revoke(self, token_id: str) -> None:
        await self.get(token_id)
        del self.found[token_id]


class MemoryOperations:
    """One healthy gateway that remembers what it was told."""

    def __init__(self, registry: MemoryRegistry | None = None) -> None:
        self.registry = registry or MemoryRegistry()
        self.views: list[WorkerView] = []
        self.crawled_us = 0
        self.reports: list[CrawlReport] = []
        self.compared: list[tuple[str, str, str]] = []
        self.homes = {
            side: HomeStatus(side, kind, place, "closed", True, True, ("*",), "none", "ok", 7)
            for side, kind, place in (
                (Side.KVSP, "kvsp", "127.0.0.1:8782"),
                (Side.S3, "file", "data/objects"),
            )
        }

    async def status(self) -> Status:
        queue = QueueStatus(1, 2, 3, 4, 5, 6)
        homes = tuple(self.homes.values())
        shown = Certificate("CN=node", "4D2", -10, 15 * 86_400_000_000)
        in_use = CertificateInUse(shown, "tls_key node.key: cannot be read")
        settings = SettingsInForce(
            5, ("t.toml: [gateway] drian: unknown setting",), ("data", "workers")
        )
        return Status(
            homes,
            queue,
            "gateway-1",
            10,
            -5,
            True,
            2,
            3,
            False,
            False,
            4711,
            3,
            in_use,
            settings,
            doubled=True,
        )

    async def inspect(self, key: Key) -> Inspection:
        found = Copy(Side.KVSP, True, Version.at(1), b"d" * 16, True, 9, 8, b"{}", "")
        return Inspection((found, Copy(Side.S3, failure="timeout")), False, key.name, "copy to s3")

    async def heal(self, key: Key) -> Healed:
        return Healed(True, (Side.S3,), (key.name,))

    async def compare(self, namespace: str, prefix: str, after: str) -> Compared:
        self.compared.append((namespace, prefix, after))
        if after:
            return Compared(0, (), None)
        return Compared(3, (f"{prefix}naïve", "z"), "z")

    async def switch(self, home: Side, *, reads_enabled: bool, writes_enabled: bool) -> Status:
        self.homes[home] = replace(
            self.homes[home], reads_enabled=reads_enabled, writes_enabled=writes_enabled
        )
        return await self.status()

    async def mark_behind(self, home: Side) -> Status:
        self.homes[home] = replace(self.homes[home], behind=("*",))
        return await self.status()

    async def queue(self, limit: int) -> Sequence[QueuedRepair]:
        row = QueuedRepair(Key(NAMESPACE, "naïve"), Version.at(5), 1, 2, -3, "timeout")
        return [row, QueuedRepair(Key(NAMESPACE, "b"), None, 0, 0, 0)][:limit]

    async def crawled(self, report: CrawlReport) -> None:
        self.reports.append(report)

    async def mode(self, namespace_id: str, wanted: Mode | None) -> ModeReport:
        namespace = await self.registry.get(namespace_id)
        settings = namespace.settings
        found: list[Objection] = []
        changes: list[str] = []
        if wanted is not None:
            check_step(settings.mode, wanted)
            found += objections(
                settings.mode, settings.mode_epoch, wanted, self.views, self.crawled_us
            )
            changes += effects(settings.mode, wanted)
        return ModeReport(
            namespace, tuple(steps_from(settings.mode)), tuple(self.views), self.crawled_us,
            tuple(changes), tuple(found),
        )  # fmt: skip

    async def step(
        self, namespace_id: str, wanted: Mode, mode_epoch: int, *, force: bool
    ) -> ModeReport:
        report = await self.mode(namespace_id, wanted)
        if any(one.lasting or not force for one in report.objections):
            return report
        settings = replace(report.namespace.settings, mode=wanted, mode_epoch=mode_epoch + 1)
        stepped = self.registry.changed(replace(report.namespace, settings=settings))
        for at, view in enumerate(self.views):
            self.views[at] = replace(view, epoch=mode_epoch + 1)
        return replace(report, namespace=stepped, stepped=True)

"""Taking a namespace from mode to mode, one step at a time.

One step of a namespace is taken at a time, everywhere (`kvgateway.registry.claims`).
"""

from collections.abc import Callable
from dataclasses import replace

from kvgateway.homes.home_time import HomeTime
from kvgateway.registry.attendance import Attendance
from kvgateway.registry.changes import RecordChanges
from kvgateway.registry.claims import Claim, Claims
from kvgateway.registry.namespaces import Registry
from kvgateway.registry.presence import Presence
from tandem.core.mode import Mode, check_step, steps_from
from tandem.core.mode_step import ModeReport, Objection, effects, objections
from tandem.core.namespace import Namespace
from tandem.errors import Unavailable


class Steps:
    """Shows and takes the steps of all namespaces."""

    def __init__(
        self,
        *,
        registry: Registry,
        changes: RecordChanges[Namespace],
        time: HomeTime,
        presence: Presence,
        claims: Claims,
        crawled_us: Callable[[str], int],
    ) -> None:
        self._registry = registry
        self._changes = changes
        self._time = time
        self._presence = presence
        self._claims = claims
        self._crawled_us = crawled_us

    async def report(self, namespace_id: str, wanted: Mode | None) -> ModeReport:
        """See `kvgateway.service.Operations`."""
        await self._registry.refresh()
        namespace = await self._registry.resolve(namespace_id)
        await self._presence.renew()
        return self._judged(namespace, wanted, await self._claims.look())

    async def step(
        self, namespace_id: str, wanted: Mode, mode_epoch: int, *, force: bool
    ) -> ModeReport:
        """See `kvgateway.service.Operations`.

        Unavailable when a home does not answer, and nothing was changed; or when not both homes
        confirm it: the step may then have been taken all the same, and nobody takes another one
        within STEP_US; Overloaded for who tries that here.
        """
        await self._registry.resolve(namespace_id)
        async with self._changes.turn(), self._claims.here:
            self._changes.check_homes()
            self._claims.check_settled(namespace_id)
            try:
                claim = await self._claims.begin(namespace_id)
                report = await self._found(namespace_id, wanted, mode_epoch, claim)
            except BaseException:  # also when the caller has gone: nothing was written
                await self._claims.end(namespace_id)
                raise
            if report.objections and any(one.lasting or not force for one in report.objections):
                await self._claims.end(namespace_id)
                return report
            stepped = await self._take(report.namespace, wanted, claim.seen)
            await self._claims.end(namespace_id)
            return replace(report, namespace=stepped, stepped=True)

    async def _found(
        self, namespace_id: str, wanted: Mode, mode_epoch: int, claim: Claim
    ) -> ModeReport:
        """What stands in the way, looked at after everyone could see that a step is taken here."""
        await self._registry.refresh()
        self._changes.check_homes()
        namespace = await self._registry.resolve(namespace_id)
        report = self._judged(namespace, wanted, claim.seen)
        more = [*claim.others, *claim.unclaimed]
        if namespace.settings.mode_epoch != mode_epoch:
            now = namespace.settings
            text = f"the mode is {now.mode} of epoch {now.mode_epoch} by now, not {mode_epoch}"
            more.append(Objection(text, passes=False, lasting=True))
        return replace(report, objections=(*more, *report.objections))

    async def _take(self, namespace: Namespace, wanted: Mode, above: Attendance) -> Namespace:
        """Writes the namespace with its new mode, above everything that was written by those who
        had not seen the present one."""
        if not self._presence.stands():
            raise Unavailable("this gateway is not registered: no home has confirmed it lately")
        kept = self._registry.book.kept(namespace.id)
        assert kept is not None
        settings = replace(
            namespace.settings,
            epoch=namespace.settings.epoch + 1,
            mode=wanted,
            mode_epoch=namespace.settings.mode_epoch + 1,
            stepped_at_s=self._time.now_us() // 1_000_000,
        )
        stepped = replace(namespace, settings=settings, title_conflict=False)
        await self._changes.put(stepped, max(kept.version, above.newest))
        return self._registry.book.get(namespace.id) or stepped

    def _judged(self, namespace: Namespace, wanted: Mode | None, seen: Attendance) -> ModeReport:
        settings = namespace.settings
        views = tuple(one.view(namespace.id) for one in seen.registrations)
        crawled_us = self._crawled_us(namespace.id)
        report = ModeReport(namespace, tuple(steps_from(settings.mode)), views, crawled_us)
        if wanted is None:
            return report
        check_step(settings.mode, wanted)
        found = objections(settings.mode, settings.mode_epoch, wanted, views, crawled_us)
        return replace(
            report,
            effects=tuple(effects(settings.mode, wanted)),
            objections=(*seen.objections, *found),
        )

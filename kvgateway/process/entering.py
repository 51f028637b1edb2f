"""What every front door of a worker lets its callers in through, made of the worker's objects."""

from kvgateway.access.caller import Inside
from kvgateway.access.charged import ChargedKeyValues
from kvgateway.access.configured import configured_policy
from kvgateway.access.entrance import GatewayEntrance
from kvgateway.access.quotas import Counts, Quotas
from kvgateway.access.throttle import Throttles
from kvgateway.data_path.build import DataPath
from kvgateway.operations import GatewayOperations
from kvgateway.overview import Overview, ThisWorker
from kvgateway.registry.changes import RecordChanges
from kvgateway.registry.claims import Claims
from kvgateway.registry.form import NAMESPACES, TOKENS
from kvgateway.registry.namespace_changes import Namespaces
from kvgateway.registry.steps import Steps
from kvgateway.registry.tokens import Tokens
from kvgateway.settings import GatewaySettings
from tandem.core.namespace import Namespace
from tandem.runtime.clock import SystemClock


def entrance_of(
    settings: GatewaySettings,
    path: DataPath,
    clock: SystemClock,
    counts: Counts,
    worker: ThisWorker,
) -> GatewayEntrance:
    """See above; `counts` hears of what quotas refuse and hold back."""
    claims = Claims(path.presence, path.guards, path.time, path.entropy)
    look_at_switches = path.keeper.look_at_switches
    changes = RecordChanges(path.registry, NAMESPACES, path.writer, look_at_switches)
    quotas = Quotas(path.quota_memory, path.registry.book.limited.get, clock.monotonic_us, counts)
    throttles = Throttles(path.gateway.read, path.gateway.write_apart, clock.monotonic_us)
    inside = Inside(
        keyvalues_of=lambda grant: ChargedKeyValues(
            path.gateway, quotas, throttles, quotas.of_holder(grant.holder, grant.quota)
        ),
        namespaces=Namespaces(
            registry=path.registry,
            changes=changes,
            time=path.time,
            entropy=path.entropy,
            claims=claims,
        ),
        tokens=Tokens(
            records=path.tokens,
            changes=RecordChanges(path.tokens, TOKENS, path.writer, look_at_switches),
            time=path.time,
            entropy=path.entropy,
        ),
        operations=_operations(settings, path, claims, changes, worker),
        registry=path.registry,
        lookups=path.lookups,
    )
    return GatewayEntrance(configured_policy(settings), inside, path.tokens, path.time, clock)


def _operations(
    settings: GatewaySettings,
    path: DataPath,
    claims: Claims,
    changes: RecordChanges[Namespace],
    worker: ThisWorker,
) -> GatewayOperations:
    overview = Overview(
        guards=path.guards,
        labels=path.homes.labels,
        time=path.time,
        trust=path.trust,
        switches=path.switches,
        journal=path.journal,
        left_over=path.machine.left_over,
        inbox=path.inbox,
        queue=path.queue,
        repair=path.repair,
        namespaces_equal=path.registry.equal,
        doubled=lambda: path.presence.is_contested,
        worker=worker,
    )
    steps = Steps(
        registry=path.registry,
        changes=changes,
        time=path.time,
        presence=path.presence,
        claims=claims,
        crawled_us=path.trust.crawled_us,
    )
    return GatewayOperations(
        overview=overview,
        guards=path.guards,
        time=path.time,
        trust=path.trust,
        queue=path.queue,
        repair=path.repair,
        switches=path.switches,
        keeper=path.keeper,
        steps=steps,
        prefix=settings.s3_prefix,
    )

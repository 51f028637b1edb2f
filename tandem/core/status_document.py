"""A gateway's status for programs: the same document from `kvctl status --json` and from the page
`/status`."""

from tandem.core.certificate import CertificateInUse
from tandem.core.differences import differences
from tandem.core.operations import HomeStatus, Status


def status_document(status: Status) -> dict[str, object]:
    """A gateway's status for programs."""
    found = differences(status)
    return {
        "gateway_id": status.gateway_id,
        "doubled": status.doubled,
        "now_us": status.now_us,
        "workers": status.workers,
        "worker_restarts": status.worker_restarts,
        "process": status.process,
        "equal": not found,
        "differences": [*found],
        "homes": [_home_document(home) for home in status.homes],
        "queue": {
            "depth": status.queue.depth,
            "oldest_age_us": status.queue.oldest_age_us,
            "dirty_ranges": status.queue.dirty_ranges,
            "healed": status.queue.healed,
            "failed_tries": status.queue.failed_tries,
            "needs_person": status.queue.needs_person,
        },
        "journal": {"pending": status.journal_pending, "writable": status.journal_writable},
        "clock": {"offset_us": status.clock_offset_us, "alarm": status.clock_alarm},
        "namespaces_equal": status.namespaces_equal,
        "certificate": _certificate_document(status.certificate),
        "settings": {
            "read_us": status.settings.read_us,
            "mistakes": [*status.settings.mistakes],
            "waiting": [*status.settings.waiting],
        },
    }


def _certificate_document(in_use: CertificateInUse | None) -> dict[str, object] | None:
    if in_use is None:
        return None
    return {
        "subject": in_use.certificate.subject,
        "serial": in_use.certificate.serial,
        "not_before_us": in_use.certificate.not_before_us,
        "not_after_us": in_use.certificate.not_after_us,
        "trouble": in_use.trouble or None,
    }


def _home_document(home: HomeStatus) -> dict[str, object]:
    return {
        "home": home.side.value,
        "kind": home.kind,
        "location": home.location,
        "detail": home.detail,
        "breaker": home.breaker,
        "reads": home.reads_enabled,
        "writes": home.writes_enabled,
        "behind": [*home.behind],
        "last_failure": home.last_failure or None,
        "switch_epoch": home.switch_epoch,
    }

"""Quotas on the command line: the options that set them, and how they are shown."""

from collections.abc import Sequence
from typing import Final

import click

from kvctl.options import form
from tandem.core.quota import Quota
from tandem.runtime.settings import SIZE, WHOLE

QUOTA_OPTIONS: Final = (
    click.option(
        "--operations-per-s", type=form(WHOLE),
        help="Operations a second on each gateway machine; more are refused. 0: no limit.",
    ),
    click.option(
        "--bytes-per-s", type=form(SIZE),
        help="Bytes of values a second, written and read, such as 10MiB. 0: no limit.",
    ),
    click.option(
        "--large-bodies-max", type=form(WHOLE),
        help="Values above 1 MiB that may be on their way in at the same time. 0: no limit.",
    ),
)  # fmt: skip


def shown_quota(quota: Quota) -> Sequence[tuple[str, str]]:
    """The limits that there are, by what they limit."""
    shown = (
        ("operations", f"{quota.operations_per_s} a second" if quota.operations_per_s else ""),
        ("bytes", f"{SIZE.show(quota.bytes_per_s)} a second" if quota.bytes_per_s else ""),
        ("large bodies", f"{quota.large_bodies_max} at once" if quota.large_bodies_max else ""),
    )
    return [(name, limit) for name, limit in shown if limit]

"""Builds the `kvctl` command from its groups and hands it what comes from outside."""

import os
import sys

import click

from kvctl.adversary_command import adversary_command
from kvctl.asking import Surroundings
from kvctl.backend import backend_group, queue_command
from kvctl.backfill_command import backfill_command
from kvctl.copies import heal, inspect, locate
from kvctl.crawl import crawl_group, tombstones_command
from kvctl.drift import drift_group
from kvctl.endings import STATUSES_TEXT
from kvctl.export_command import export_command
from kvctl.health import health_command
from kvctl.import_command import import_command
from kvctl.keys import key_group
from kvctl.misuse import Commands
from kvctl.namespaces import namespace_group
from kvctl.options import common_options
from kvctl.output import unwritten
from kvctl.rebuild.command import rebuild_command
from kvctl.repair import repair_command
from kvctl.status import status_command
from kvctl.tokens import token_group
from kvctl.up_command import up_command
from kvctl.workers_command import workers_command
from tandem.runtime.clock import SystemClock


@click.group(
    cls=Commands, epilog=STATUSES_TEXT,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
@common_options
@click.version_option(package_name="tandem-kv", prog_name="kvctl")
def cli(**_options: object) -> None:
    """Run and look after Tandem KV, and use what it stores.

    --gateway, --token, --account, --timeout and --json may also stand behind the name of each
    command.
    """


for key_command in (inspect, heal, locate):
    key_group.add_command(key_command)

backend_group.add_command(rebuild_command)

for command in (
    up_command,
    key_group,
    namespace_group,
    token_group,
    import_command,
    export_command,
    workers_command,
    backfill_command,
    status_command,
    backend_group,
    queue_command,
    crawl_group,
    drift_group,
    tombstones_command,
    repair_command,
    health_command,
    adversary_command,
):
    cli.add_command(command)


def main() -> int:
    """The console script; ends with the statuses of `kvctl --help`."""
    environment = os.environ  # noqa: TID251 - a main is where it comes in
    try:
        cli(prog_name="kvctl", obj=Surroundings(environment, SystemClock()))
    except OSError as failure:
        if failure.filename is not None:  # no failure of what click prints, such as a help
            raise
        ended = unwritten(failure, sys.stdout)
        ended.show()
        return ended.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Builds the crawler from its settings and crawls until told to stop."""

import os
import sys
from functools import partial

from crawler.crawl import CrawlRule
from crawler.gateways import RemoteGateways
from crawler.kill_switches import KillSwitches, switched
from crawler.rounds import Rounds
from crawler.settings import CrawlerSettings
from tandem import errors
from tandem.backends.opening import open_homes
from tandem.runtime import logs, serve
from tandem.runtime.clock import SystemClock
from tandem.runtime.local_tokens import admin_token
from tandem.runtime.randomness import SystemEntropy
from tandem.runtime.settings import SettingsError, help_text, load, read_sources

_LOG = logs.get("crawler")
_ABOUT = "Compares both homes, finds the drift that nobody reported, and heals it."
_TASKS_MAX = 4


def main() -> int:
    """The console script; returns the exit status."""
    arguments = sys.argv[1:]
    if "--help" in arguments:
        sys.stdout.write(help_text(CrawlerSettings, "crawler", _ABOUT))
        return 0
    environment = os.environ  # noqa: TID251 - a main is where it comes in
    try:
        sources = read_sources(arguments, environment, "crawler")
        settings = load(CrawlerSettings, "crawler", sources).settings
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logs.configure(SystemClock(), level=settings.log_level.value, form=settings.log_format)
    return serve.run(partial(_crawl, settings), _LOG)


async def _crawl(settings: CrawlerSettings, process: serve.Process) -> int:
    try:
        admin_token(settings.admin_token, settings.admin_token_file)
        homes = await open_homes(settings.homes(), SystemClock(), SystemEntropy())
    except errors.ConfigurationError as error:
        _LOG.error("cannot_start", mistakes=list(error.mistakes))
        return 2
    gateways = RemoteGateways(settings.gateway_addresses(), settings.token_for)
    switches = KillSwitches(gateways)
    await switches.look()
    rounds = Rounds(
        homes=switched(homes.backends, switches),
        gateways=gateways,
        rule=CrawlRule(
            page_names=settings.page_names,
            settle_s=settings.settle_s,
            heals_at_once=settings.heals_at_once,
        ),
        pause_s=settings.pause_s,
        breathe_ratio=settings.breathe_ratio,
    )
    tasks = serve.Tasks(_TASKS_MAX, _LOG)
    tasks.start("switches", switches.run())
    tasks.start("rounds", rounds.run())
    _LOG.info("ready", gateways=settings.gateway_addresses())
    await process.stop.wait()
    await tasks.drain(0.0)
    await homes.aclose()
    _LOG.info("stopped", rounds=rounds.counters.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())

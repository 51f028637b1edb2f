"""`kvctl workers`: prints what lets a Worker use namespaces of this Tandem."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from kvctl.asking import Asked
from kvctl.endings import Ended, Ending
from kvctl.options import asks, configured, form, token
from kvctl.output import print_json, print_line
from kvctl.workers.adapter import SECRETS, adapter_files, services
from kvctl.workers.bindings import Binding, Door, distinct, split_name
from kvctl.workers.workerd import workerd_configuration
from tandem.client import Client
from tandem.runtime.settings import ADDRESS, Address
from tandem.runtime.tls import SYSTEM, TlsFiles
from tandem.runtime.tls.files import read


@click.command("workers")
@click.argument("namespaces", metavar="TITLE|ID[=BINDING]...", nargs=-1, required=True)
@click.option("--http", type=form(ADDRESS), help="The gateway's HTTP port. [default: as `up`]")
@click.option(
    "--worker-token", default="", type=token, metavar="TOKEN",
    help="What the Worker sends as its token.",
)  # fmt: skip
@click.option(
    "--script", default="worker.mjs", show_default=True, metavar="FILE",
    help="The Worker's module, as seen from the configuration.",
)  # fmt: skip
@click.option(
    "--listen", type=form(ADDRESS), default="127.0.0.1:8080", show_default=True,
    help="Where workerd shall serve it.",
)  # fmt: skip
@click.option(
    "--adapter", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="Write an adapter for `wrangler dev` and Miniflare there instead.",
)  # fmt: skip
@asks
def workers_command(
    asked: Asked,
    namespaces: tuple[str, ...],
    http: Address | None,
    worker_token: str,
    script: str,
    listen: Address,
    adapter: Path | None,
) -> None:
    """Print what lets workerd bind namespaces of this Tandem.

    A binding is named after the namespace's title (my-articles: MY_ARTICLES), or BINDING.
    """
    named = [split_name(argument) for argument in namespaces]
    address = http or configured(asked.surroundings.environment).http_address
    door = Door(address, worker_token, _authorities(asked.tls))

    async def find(client: Client) -> list[Binding]:
        found = [(await client.namespaces.get(title), name) for title, name in named]
        return [Binding(name, namespace.id, namespace.title) for namespace, name in found]

    bindings = distinct(asked.ask(find))
    if adapter is None:
        _print(asked, workerd_configuration(bindings, door, script=script, listen=listen), bindings)
    else:
        _write(asked, adapter, bindings, door)


def _authorities(tls: TlsFiles | None) -> str | None:
    if tls is None:
        return None
    return "" if tls.ca == SYSTEM else read(tls).ca.decode()


def _print(asked: Asked, configuration: str, bindings: Sequence[Binding]) -> None:
    if asked.as_json:
        print_json({"configuration": configuration, "bindings": _documents(bindings)})
    else:
        print_line(configuration.removesuffix("\n"))


def _write(asked: Asked, directory: Path, bindings: Sequence[Binding], door: Door) -> None:
    files = adapter_files(bindings, door)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            path = directory / name
            mode = 0o600 if name == SECRETS else 0o644
            path.touch(mode)
            path.chmod(mode)
            path.write_text(text)
    except OSError as error:
        raise Ended(Ending.USAGE, f"{error.filename}: {error.strerror}") from None
    bound = services(bindings)
    if asked.as_json:
        print_json({"files": sorted(files), "services": bound, "bindings": _documents(bindings)})
        return
    print_line(
        f"wrote {', '.join(sorted(files))} to {directory}\n\n"
        'In the configuration of your Worker, in place of "kv_namespaces":\n\n'
        f'  "services": {json.dumps(bound, indent=2).replace(chr(10), chr(10) + "  ")}\n\n'
        f"and run both: wrangler dev -c wrangler.jsonc -c {directory / 'wrangler.json'}"
    )


def _documents(bindings: Sequence[Binding]) -> list[dict[str, object]]:
    return [
        {"binding": binding.name, "title": binding.title, "id": binding.namespace}
        for binding in bindings
    ]

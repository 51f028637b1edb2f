"""A Worker that stands between Tandem and the Workers of `wrangler dev` or Miniflare.

Both know KV namespaces of their own only. What they can bind is another Worker as a service, whose
methods are called like those of a namespace: so the Worker that uses it stays as it is.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from kvctl.workers.bindings import Binding, Door
from kvctl.workers.workerd import COMPATIBILITY_DATE

SERVICE: Final = "tandem-kv"
SECRETS: Final = ".dev.vars"
"""The file in which `wrangler dev` looks for them."""
_MODULE: Final = Path(__file__).with_name("adapter.mjs")


def adapter_files(bindings: Sequence[Binding], door: Door) -> Mapping[str, str]:
    """The texts of the adapter's files by their names."""
    classes = "".join(
        f'\nexport class {binding.name} extends Namespace {{\n  id = "{binding.namespace}";\n}}\n'
        for binding in bindings
    )
    scheme = "http" if door.authorities is None else "https"
    configuration = {
        "name": SERVICE,
        "main": "adapter.mjs",
        "compatibility_date": COMPATIBILITY_DATE,
        "vars": {"TANDEM_URL": f"{scheme}://{door.address}"},
    }
    secrets = {SECRETS: f"TANDEM_TOKEN={json.dumps(door.token)}\n"} if door.token else {}
    return {
        "adapter.mjs": _MODULE.read_text() + classes,
        "wrangler.json": json.dumps(configuration, indent=2) + "\n",
        **secrets,
    }


def services(bindings: Sequence[Binding]) -> Sequence[Mapping[str, str]]:
    """What stands under "services" in the configuration of the Worker that uses the namespaces."""
    return [
        {"binding": binding.name, "service": SERVICE, "entrypoint": binding.name}
        for binding in bindings
    ]

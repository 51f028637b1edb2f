"""workerd's configuration: one external service for each namespace.

The binding's requests do not say which namespace they are for, so workerd adds a header that does.
"""

from collections.abc import Sequence
from string import Template
from typing import Final

from kvctl.workers.bindings import Binding, Door
from tandem.runtime.settings import Address

COMPATIBILITY_DATE: Final = "2025-05-01"
"""Of the printed Worker; its owner may move it."""

_CONFIGURATION: Final = Template("""\
# Written by `kvctl workers`. Run it with: workerd serve FILE
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    ( name = "main", worker = (
        modules = [ ( name = "worker", esModule = embed $script ) ],
        compatibilityDate = "$date",
        bindings = [
$bindings
        ] ) ),
$services
  ],
  sockets = [ ( name = "http", address = $listen, http = (), service = "main" ) ],
);
""")
_BINDING: Final = Template("""\
          ( name = $name, kvNamespace = $service ),""")
_SERVICE: Final = Template("""\
    ( name = $service, external = (
        address = $address,
        $speaks ) ),""")
_PLAIN: Final = Template("""\
http = ( injectRequestHeaders = [
$headers
        ] )""")
_ENCRYPTED: Final = Template("""\
https = ( options = ( injectRequestHeaders = [
$headers
        ] ), tlsOptions = ( $trust ) )""")
_HEADER: Final = Template("""\
          ( name = $name, value = $value ),""")


def workerd_configuration(
    bindings: Sequence[Binding], door: Door, *, script: str, listen: Address
) -> str:
    """The text; `script` is the Worker's module, its path relative to the configuration."""
    return _CONFIGURATION.substitute(
        script=_text(script),
        date=COMPATIBILITY_DATE,
        listen=_text(str(listen)),
        bindings="\n".join(
            _BINDING.substitute(name=_text(binding.name), service=_service(binding.namespace))
            for binding in bindings
        ),
        services="\n".join(_service_of(namespace, door) for namespace in _namespaces(bindings)),
    )


def _namespaces(bindings: Sequence[Binding]) -> Sequence[str]:
    return list(dict.fromkeys(binding.namespace for binding in bindings))


def _service_of(namespace: str, door: Door) -> str:
    headers = {"CF-KV-Namespace-ID": namespace}
    if door.token:
        headers["Authorization"] = f"Bearer {door.token}"
    injected = "\n".join(
        _HEADER.substitute(name=_text(name), value=_text(value)) for name, value in headers.items()
    )
    return _SERVICE.substitute(
        service=_service(namespace),
        address=_text(str(door.address)),
        speaks=_spoken(injected, door.authorities),
    )


def _spoken(headers: str, authorities: str | None) -> str:
    if authorities is None:
        return _PLAIN.substitute(headers=headers)
    trust = f"trustedCertificates = [ {_text(authorities)} ]" if authorities else ""
    return _ENCRYPTED.substitute(headers=headers, trust=trust or "trustBrowserCas = true")


def _service(namespace: str) -> str:
    return _text(f"kv-{namespace}")


def _text(text: str) -> str:
    """A string literal of Cap'n Proto."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'

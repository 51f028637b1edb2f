"""What this client has seen: the versions that make its reads its own and monotonic anywhere."""

from tandem.core.version import NO_VERSION


class Session:
    """The newest version seen of each key, for at most `keys_max` keys.

    At the bound the key whose version changed longest ago is forgotten: for it the promise holds
    only within one gateway from then on.
    """

    def __init__(self, keys_max: int) -> None:
        self._keys_max = keys_max
        self._versions: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._versions)

    def version(self, name: str) -> bytes:
        """The newest version seen of a key, empty for none."""
        return self._versions.get(name, b"")

    def saw(self, name: str, version: bytes) -> None:
        """Notes a version of a key; an older one than known changes nothing."""
        versions = self._versions
        if version <= versions.get(name, b"") or version == NO_VERSION:
            return
        versions.pop(name, None)
        versions[name] = version
        if len(versions) > self._keys_max:
            del versions[next(iter(versions))]

    def newest(self, name: str, version: bytes | None) -> bytes:
        """The newer one of what was seen and what the caller asks for."""
        seen = self._versions.get(name, b"")
        return seen if version is None or version <= seen else version

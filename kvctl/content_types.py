"""Which media type a file's name stands for, the same on every machine."""

import mimetypes
from typing import Final

# An object of its own knows only Python's table, not the machine's.
_TYPES: Final = mimetypes.MimeTypes()
_TYPE_OF_ENCODING: Final = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "compress": "application/x-compress",
    "br": "application/x-brotli",
}
# What one version of Python has otherwise than another.
for _type, _ending in (
    ("text/javascript", ".js"),
    ("text/javascript", ".mjs"),
    ("text/markdown", ".md"),
    ("application/json", ".json"),
    ("application/wasm", ".wasm"),
    ("application/manifest+json", ".webmanifest"),
    ("font/woff", ".woff"),
    ("font/woff2", ".woff2"),
    ("image/avif", ".avif"),
    ("image/svg+xml", ".svg"),
    ("image/vnd.microsoft.icon", ".ico"),
    ("image/webp", ".webp"),
):
    _TYPES.add_type(_type, _ending)


def content_type(name: str) -> str:
    """The media type that a file's name stands for."""
    kind, encoding = _TYPES.guess_type(name.rpartition("/")[2])
    if encoding is not None:
        kind = _TYPE_OF_ENCODING.get(encoding)
    return kind or "application/octet-stream"

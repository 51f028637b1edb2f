"""The envelope of every answer but a value: `success`, `errors`, `messages`, `result`."""

from typing import Final

import msgspec

from tandem.errors import sayable
from tandem.runtime.httpd import Response
from tandem.runtime.httpd.message import Headers

JSON: Final = (b"Content-Type", b"application/json")


class RestError(Exception):
    """What this door refuses by itself, in Cloudflare's terms."""

    def __init__(self, status: int, code: int, text: str, headers: Headers = ()) -> None:
        super().__init__(status, code, text)
        self.status = status
        self.code = code
        self.text = text
        self.headers = headers


def success(result: object, info: object = None, headers: Headers = ()) -> Response:
    """A success; `info` is the `result_info` of a page."""
    envelope: dict[str, object] = {"success": True, "errors": [], "messages": [], "result": result}
    if info is not None:
        envelope["result_info"] = info
    return Response(200, msgspec.json.encode(envelope), (JSON, *headers))


def failure(status: int, code: int, message: str, headers: Headers = ()) -> Response:
    """A failure. Whatever a client sent may be quoted in `message`."""
    envelope = {
        "success": False,
        "errors": [{"code": code, "message": sayable(message)}],
        "messages": [],
        "result": None,
    }
    return Response(status, msgspec.json.encode(envelope), (JSON, *headers))

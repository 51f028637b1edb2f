"""Every bound of the HTTP server; each names its unit and its answer when it is reached."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpLimits:
    head_bytes_max: int = 1 << 20  # request line and headers together; 431
    headers_max: int = 200  # header lines; 431
    connections_max: int = 16_384  # 503 and close
    body_buffer_max: int = 256 << 10  # unread body held per connection; reading pauses
    landed_unread_max: int = 1 << 20  # of a body in its place, not looked at yet; reading pauses
    whole_body_bytes_max: int = 64 << 10  # up to it, a body is complete before the app is asked
    drain_bytes_max: int = 128 << 20  # unread body swallowed for an early answer; then close
    answers_bytes_max: int = 512 << 20  # of large answers that clients are still taking; 503
    handshake_timeout_s: float = 10.0  # of TLS; cut off
    head_timeout_s: float = 20.0  # first byte to last header; 408
    body_idle_s: float = 30.0  # time to deliver the next `body_progress_bytes`; 408
    body_progress_bytes: int = 1024
    keep_alive_s: float = 75.0  # idle connection; closed without a word
    write_idle_s: float = 60.0  # a client that takes nothing of its answer; cut off
    linger_s: float = 2.0  # swallowing after a final answer, so that the answer is not lost

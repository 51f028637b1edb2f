"""The answers of KVSP on the wire: what goes in comes out."""

import pytest

from tandem.core.reply import Failed, Reason
from tandem.wire import storage_codec
from tandem.wire.v1 import storage_pb2

AT_US = 1_800_000_000_000_000


@pytest.mark.parametrize("reason", Reason)
def test_a_read_that_failed_says_why_once(reason: Reason) -> None:
    reply = storage_pb2.StorageReply()
    storage_codec.add_failed_read(reply, 7, Failed(reason, "detail"))
    assert storage_codec.read_reply(reply.reads[0], AT_US) == Failed(reason, "detail", AT_US)

"""The storage proxy program: stripes every namespace over SQL clusters."""

from tandem.runtime.grpc_silence import silence_grpc

silence_grpc()

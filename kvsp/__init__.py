"""The storage proxy program: stripes every namespace over SQL clusters."""

from tandem.runtime.grpc_core import prepare_grpc

prepare_grpc()

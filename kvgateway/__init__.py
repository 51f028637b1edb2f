"""The gateway program: races both homes and repairs what a race leaves unequal."""

from tandem.runtime.grpc_core import prepare_grpc

prepare_grpc()

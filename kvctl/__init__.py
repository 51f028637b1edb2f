"""The operator's command line, and the whole store on one machine."""

from tandem.runtime.grpc_core import prepare_grpc

prepare_grpc()

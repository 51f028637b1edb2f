"""The crawler program: finds the drift that nobody reported and collects tombstones."""

from tandem.runtime.grpc_core import prepare_grpc

prepare_grpc()

"""The crawler program: finds the drift that nobody reported and collects tombstones."""

from tandem.runtime.grpc_silence import silence_grpc

silence_grpc()

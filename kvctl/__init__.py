"""The operator's command line, and the whole store on one machine."""

from tandem.runtime.grpc_silence import silence_grpc

silence_grpc()

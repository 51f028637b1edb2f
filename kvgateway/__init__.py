"""The gateway program: races both homes and repairs what a race leaves unequal."""

from tandem.runtime.grpc_silence import silence_grpc

silence_grpc()

"""Where the wire ends: generated code, its codec, and errors as gRPC status."""

"""The gRPC client library."""

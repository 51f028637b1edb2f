"""The gRPC front door: servicers that translate between messages and the gateway."""

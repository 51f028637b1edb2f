"""The two homes as a gateway sees them: bounded, watched, switched, and trusted or not."""

"""The HTTP front door: health, readiness and metrics."""

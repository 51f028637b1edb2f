"""What a main needs and nothing else does: clock, settings, logs, telemetry, serving."""

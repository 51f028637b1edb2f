"""What a program's main needs and nothing else does: clock, settings, logs, metrics, HTTP."""

"""The rules of the store, pure: no IO, no clock, no randomness, no logging."""

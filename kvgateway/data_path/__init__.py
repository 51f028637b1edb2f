"""Reads, writes and lists of one worker process, and the repair of what they leave unequal."""

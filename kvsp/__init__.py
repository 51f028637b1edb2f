"""The storage proxy program: stripes every namespace over SQL clusters."""

"""The two homes of every record as one shape."""

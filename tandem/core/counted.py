"""A count in words."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 key`, `2 keys`."""
    return f"{count} {noun}" if count == 1 else f"{count} {plural or noun + 's'}"

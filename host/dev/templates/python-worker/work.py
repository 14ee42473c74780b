"""What the plugin does, without the host."""


def next_item(done: bytes | None) -> int:
    """The number of the item after the one that was done last."""
    return int(done or b"0") + 1

"""Amounts as people read them."""


def clock(seconds: float) -> str:
    """Write a length of time as `7 s`, `3:07` or `1:03:07`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes = f"{rest // 60:02d}" if hours else str(rest // 60)
    return ":".join([*([str(hours)] if hours else []), minutes, f"{rest % 60:02d}"])

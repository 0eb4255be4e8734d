"""Truth as annotations write it: the words of Go's ParseBool, and no others."""

from __future__ import annotations

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def parse_bool(text: str) -> bool | None:
    """None for anything that is neither."""
    return True if text in _TRUE else False if text in _FALSE else None

"""Kubernetes quantities (``500m``, ``1Gi``) as exact numbers. Pure."""

from __future__ import annotations

import re
from decimal import ROUND_UP, Decimal

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")
_SUFFIXES = {
    **{
        letter: Decimal(10) ** power
        for letter, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)
    },
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
}


def parse(text: str) -> Decimal:
    """Read a quantity; raises ValueError."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    number, suffix = Decimal(match[1]), match[2] or ""
    if suffix[:1] in ("e", "E") and suffix[1:]:
        return number * Decimal(10) ** int(suffix[1:])
    return number * _SUFFIXES.get(suffix, Decimal(1))


_DECIMAL = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")


def canonical(text: str) -> str:
    """Give a quantity as Kubernetes writes it: the largest suffix that leaves a whole number; raises ValueError."""
    value, suffix = parse(text), _QUANTITY.fullmatch(text)
    assert suffix is not None  # noqa: S101 - it was parsed
    kind = suffix[2] or ""
    if kind.endswith("i") and value == value.to_integral_value() and abs(value) >= 1024:
        whole, step = int(value), 0
        while whole % 1024 == 0 and step < len(_BINARY) - 1:
            whole, step = whole // 1024, step + 1
        return f"{whole}{_BINARY[step]}"
    whole = int((value * 10**9).to_integral_value(ROUND_UP))
    if whole == 0:
        return "0"
    step = 0
    while whole % 1000 == 0 and step < len(_DECIMAL) - 1:
        whole, step = whole // 1000, step + 1
    if kind[:1] in ("e", "E") and kind[1:]:
        return f"{whole}e{3 * step - 9}" if step != 3 else str(whole)
    return f"{whole}{_DECIMAL[step]}"

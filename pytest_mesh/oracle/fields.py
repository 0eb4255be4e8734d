"""A document's fields with the place of each, read once and by name: a field that nobody reads is refused.

It knows no kind of document.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pytest_mesh.contracts import Json
from pytest_mesh.oracle.errors import Malformed, Unsupported


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A place in a document: file (where there is one), object and field."""

    file: str = ""
    object: str = ""
    """``VirtualService shop/reviews``."""
    path: str = ""
    """``spec.http[0].match[1].uri.prefix``."""

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.file, self.object) if part)
        return f"{where}: {self.path}" if self.path else where

    def field(self, name: str) -> Line:
        """Give the line of a field below this one."""
        joint = "" if not self.path or name.startswith("[") else "."
        return Line(file=self.file, object=self.object, path=f"{self.path}{joint}{name}")


class Fields:
    """One mapping of a document while it is read."""

    def __init__(self, value: Any, line: Line) -> None:
        if not isinstance(value, dict):
            raise Malformed(f"{line}: a mapping is wanted, not {type(value).__name__}")
        self._value: Json = value
        self.line = line

    def knows(self, names: Iterable[str], *, refused: Iterable[str] = ()) -> Fields:
        """Refuse every field but these; ``refused`` are those of the API that the oracle does not model."""
        known = set(names)
        for name in self._value:
            if name in known:
                continue
            kind = "does not model" if name in set(refused) else "does not know"
            raise Unsupported(f"{self.line.field(name)}: the oracle {kind} this field")
        return self

    @property
    def mapping(self) -> Json:
        """The mapping itself, for what reads parts of it elsewhere."""
        return self._value

    def __contains__(self, name: str) -> bool:
        return self._value.get(name) is not None

    def at(self, name: str) -> Line:
        return self.line.field(name)

    def text(self, name: str, default: str = "") -> str:
        value = self._value.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise Malformed(f"{self.at(name)}: a string is wanted, not {value!r}")
        return value

    def number(self, name: str, default: int = 0) -> int:
        value = self._value.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            raise Malformed(f"{self.at(name)}: a whole number is wanted, not {value!r}")
        return value

    def share(self, name: str) -> float:
        value = self._value.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Malformed(f"{self.at(name)}: a number is wanted, not {value!r}")
        return float(value)

    def truth(self, name: str) -> bool:
        value = self._value.get(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise Malformed(f"{self.at(name)}: true or false is wanted, not {value!r}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = _given(self._value.get(name), [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise Malformed(f"{self.at(name)}: a list of strings is wanted, not {value!r}")
        return tuple(value)

    def pairs(self, name: str) -> dict[str, str]:
        value = _given(self._value.get(name), {})
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise Malformed(f"{self.at(name)}: a mapping of strings is wanted, not {value!r}")
        return {str(key): item for key, item in value.items()}

    def below(self, name: str) -> Fields | None:
        """Give the mapping of a field, None when it is absent."""
        value = self._value.get(name)
        return None if value is None else Fields(value, self.at(name))

    def each(self, name: str) -> Iterator[Fields]:
        """Give the mappings of a list, each with its index in its line."""
        value = _given(self._value.get(name), [])
        if not isinstance(value, list):
            raise Malformed(f"{self.at(name)}: a list is wanted, not {type(value).__name__}")
        for index, item in enumerate(value):
            yield Fields(item, self.line.field(f"{name}[{index}]"))

    def entries(self, name: str) -> Iterator[tuple[str, Fields]]:
        """Give the mappings of a mapping; an entry without a value is an empty one."""
        value = _given(self._value.get(name), {})
        if not isinstance(value, dict):
            raise Malformed(f"{self.at(name)}: a mapping is wanted, not {type(value).__name__}")
        for key, item in value.items():
            yield str(key), Fields(item or {}, self.at(name).field(str(key)))


def _given(value: Any, default: Any) -> Any:
    return default if value is None else value


def seconds(fields: Fields, name: str) -> float | None:
    """Read a duration (``1.5s``, ``100ms``, ``1h2m``); None when it is absent."""
    text = fields.text(name)
    if not text:
        return None
    total, number = 0.0, ""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "ns": 1e-9}
    index = 0
    while index < len(text):
        if text[index].isdigit() or text[index] == ".":
            number += text[index]
            index += 1
            continue
        unit = text[index : index + 2] if text[index : index + 2] in units else text[index]
        if unit not in units or not number:
            raise Malformed(f"{fields.at(name)}: {text!r} is no duration")
        total += float(number) * units[unit]
        number = ""
        index += len(unit)
    if number:
        raise Malformed(f"{fields.at(name)}: {text!r} has no unit")
    return total

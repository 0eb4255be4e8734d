"""Helps the typed readers: one field of a JSON object at a time, each failure naming the object and the field.

The shape of a whole resource is checked against ``model.schema`` first, so that readers need not doubt types.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from mesh_reference.documents import render
from mesh_reference.errors import InvalidConfig
from mesh_reference.model.schema.duration import parse_duration
from mesh_reference.model.schema.shape import misfits

if TYPE_CHECKING:
    from mesh_reference.model.schema.types import Kind

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Which object is read. ``warnings`` gathers what it asks for and this control plane does not do."""

    name: str
    warnings: list[str] = field(default_factory=list)


class Fields(Mapping[str, Any]):
    """A JSON object inside a resource, with its path. Null counts as unset."""

    def __init__(self, value: Mapping[str, Any], origin: Origin, path: Path) -> None:
        self._value = value
        self._origin = origin
        self.path = path

    def __getitem__(self, key: str) -> Any:
        value = self._value[key]
        if value is None:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[str]:
        return (key for key, value in self._value.items() if value is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def fields(self, key: str) -> Self:
        """The object below ``key``, empty when unset."""
        return type(self)(self.get(key) or {}, self._origin, (*self.path, key))

    def optional(self, key: str) -> Self | None:
        """The object below ``key``, None when unset."""
        return self.fields(key) if key in self else None

    def each(self, key: str) -> list[Self]:
        """The objects of the list below ``key``."""
        return [
            type(self)(item, self._origin, (*self.path, key, index)) for index, item in enumerate(self.get(key) or [])
        ]

    def entries(self, key: str) -> list[tuple[str, Self]]:
        """The objects of the map below ``key``, sorted by key."""
        inside = self.fields(key)
        return [(name, inside.fields(name)) for name in sorted(inside)]

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(self.get(key) or ())

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """A map of text, sorted by key."""
        return tuple(sorted((self.get(key) or {}).items()))

    def seconds(self, key: str) -> float | None:
        """A duration in seconds; None when unset."""
        if key not in self:
            return None
        try:
            return parse_duration(self[key]) / 1e9
        except ValueError as error:
            raise self.invalid(str(error), key) from error

    def invalid(self, problem: str, *keys: str | int) -> InvalidConfig:
        """The error to raise about a field below this object."""
        return InvalidConfig(f"{self._origin.name}: {render((*self.path, *keys))}", problem)

    def unsupported(self, key: str, consequence: str) -> None:
        """Note, when ``key`` is set, that it has no effect here and what happens instead."""
        if key in self:
            self._origin.warnings.append(
                f"{self._origin.name}: {render((*self.path, key))} is not supported: {consequence}"
            )

    def warn(self, key: str, text: str) -> None:
        """Note what becomes of a value that cannot be served as it stands."""
        self._origin.warnings.append(f"{self._origin.name}: {render((*self.path, key))}: {text}")


def open_spec(obj: Mapping[str, Any], kind: Kind) -> tuple[Fields, Origin]:
    """The resource's ``spec``, after its shape was found right; raises InvalidConfig at the first misfit."""
    metadata = obj["metadata"]
    origin = Origin(name=f"{kind.kind} {metadata.get('namespace', '')}/{metadata['name']}")
    spec = obj.get("spec") or {}
    for misfit in misfits(spec, kind.spec, ("spec",)):
        raise InvalidConfig(f"{origin.name}: {render(misfit.path)}", misfit.message)
    return Fields(spec, origin, ("spec",)), origin

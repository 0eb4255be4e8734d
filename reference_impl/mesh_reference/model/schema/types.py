"""The vocabulary in which a resource kind is defined: a handful of frozen types.

It mirrors what Istio's protobuf messages can say (messages, maps, lists, oneofs,
enums, durations). It holds no definition itself and checks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A string."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A boolean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Integer:
    """A whole number between two bounds, both included."""

    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A double."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """A length of time in Go's and protobuf's common form: ``1.5s``, ``1h30m``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """Bytes, base64 in JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of a set of names."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf:
    """A list of one type."""

    item: Type


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOf:
    """A map from text (or from a port's number) to one type."""

    value: Type
    key: Literal["text", "port"] = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Named fields; of each group in ``one_of`` at most one field may be set."""

    name: str
    fields: Mapping[str, Type]
    one_of: tuple[tuple[str, ...], ...] = ()
    descriptions: Mapping[str, str] = field(default_factory=dict)


Type = Text | Flag | Integer | Number | Duration | Binary | Choice | ListOf | MapOf | Message

TEXT = Text()
FLAG = Flag()
NUMBER = Number()
DURATION = Duration()
BINARY = Binary()
INT32 = Integer(minimum=-(2**31), maximum=2**31 - 1)
UINT32 = Integer(minimum=0, maximum=2**32 - 1)
UINT64 = Integer(minimum=0, maximum=2**64 - 1)
TEXTS = ListOf(item=TEXT)
LABELS = MapOf(value=TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of ``kubectl get``."""

    name: str
    path: str
    type: str = "string"
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One resource kind: its names, its served versions (the first is the stored one) and its spec."""

    group: str
    kind: str
    plural: str
    short_name: str
    versions: tuple[str, ...]
    spec: Message
    columns: tuple[Column, ...]
    description: str

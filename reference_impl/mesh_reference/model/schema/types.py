"""The vocabulary in which a resource kind is defined: a handful of frozen types.

It mirrors what Istio's protobuf messages can say (messages, maps, lists, oneofs,
enums, durations). It holds no definition itself and checks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What the API server can refuse by itself: CEL over ``self``, with the sentence and id of Galley's rule.

    ``says`` = CEL of the sentence where it names what was given; ``message`` then stands for it in the listing.
    ``at`` = the field below ``self`` that the refusal names, such as ``.port``; "" = ``self``.
    """

    expression: str
    message: str
    rule: str
    says: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A string of at most so many characters; None = as many as may be."""

    at_most: int | None = None
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A boolean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Integer:
    """A whole number between two bounds, both included."""

    minimum: int
    maximum: int
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A double."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """A length of time in Go's and protobuf's common form: ``1.5s``, ``1h30m``."""

    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """Bytes, base64 in JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of a set of names."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf:
    """A list of one type, of at most so many items."""

    item: Type
    at_most: int | None = None
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOf:
    """A map from text (or from a port's number) to one type, of at most so many entries."""

    value: Type
    key: Literal["text", "port"] = "text"
    at_most: int | None = None
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Named fields; of each group in ``one_of`` at most one field may be set."""

    name: str
    fields: Mapping[str, Type]
    one_of: tuple[tuple[str, ...], ...] = ()
    descriptions: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()


Type = Text | Flag | Integer | Number | Duration | Binary | Choice | ListOf | MapOf | Message

TEXT = Text()
FLAG = Flag()
NUMBER = Number()
DURATION = Duration(
    rules=(
        Rule(expression="duration(self) >= duration('1ms')", message="duration must be greater than 1ms", rule="V27a"),
    )
)
ANY_DURATION = Duration()
BINARY = Binary()
INT32 = Integer(minimum=-(2**31), maximum=2**31 - 1)
UINT32 = Integer(minimum=0, maximum=2**32 - 1)
UINT64 = Integer(minimum=0, maximum=2**63 - 1)  # what an API server can carry
TEXTS = ListOf(item=TEXT)
LABELS = MapOf(value=TEXT)
PORT = Integer(
    minimum=0,
    maximum=2**32 - 1,
    rules=(
        Rule(
            expression="0 < self && self <= 65535",
            message="port number must be in the range 1..65535",
            rule="V17",
        ),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of ``kubectl get``."""

    name: str
    path: str
    type: str = "string"
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One resource kind: its names, its served versions (the first is the stored one) and its spec.

    ``acted_on`` = the control plane makes configuration of it; else it is checked and stored, and a warning says so.
    An empty ``short_name`` = none.
    """

    group: str
    kind: str
    plural: str
    short_name: str
    versions: tuple[str, ...]
    spec: Message
    columns: tuple[Column, ...]
    description: str
    acted_on: bool = True

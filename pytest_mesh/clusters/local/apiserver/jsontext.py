"""JSON and YAML in, with the words in which Go refuses them, and what of a body an error may show. Pure."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import orjson

SHOWN = 32
"""Letters of a body that an error shows."""

_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "'": "\\'"}


def kind_of(value: Any) -> str:
    """Give Go's word for what kind of JSON a value is."""
    return {str: "string", bool: "bool", list: "array", dict: "object"}.get(type(value), "number")


def read(body: bytes, *, plain: bool = False) -> Any:
    """Decode JSON; raises ValueError in the words of a Kubernetes decoder, or in Go's own with ``plain``."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            # A lone surrogate is a letter to Go and to this parser.
            value = json.loads(body)
        except (ValueError, RecursionError) as other:
            why = _why(body, other)
        else:
            return _sound(value)
        raise ValueError(why if plain else f"couldn't get version/kind; json parse error: {why}") from error


def _sound(value: Any) -> Any:
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def _why(body: bytes, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"invalid character '{body.lstrip()[:1].decode('utf-8', 'replace')}' exceeded max depth"
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    if error.pos >= len(error.doc) or "Unterminated" in error.msg:
        return "unexpected end of JSON input"
    letter = error.doc[error.pos]
    shown = _ESCAPES.get(letter, letter if letter.isprintable() else f"\\x{ord(letter):02x}")
    where = "looking for beginning of value"
    if error.msg == "Extra data":
        where = "after top-level value"
    elif "property name" in error.msg:
        where = "looking for beginning of object key string"
    elif "':' delimiter" in error.msg:
        where = "after object key"
    elif "',' delimiter" in error.msg:
        where = "after object key:value pair"
    return f"invalid character '{shown}' {where}"


def duplicates(body: bytes) -> list[str]:
    """Give the paths of the fields that JSON names twice in one object."""
    found: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> Any:
        seen: dict[str, Any] = {}
        for name, value in items:
            if name in seen:
                found.append(name)
            seen[name] = value
        return seen

    json.loads(body, object_pairs_hook=pairs)
    if not found:
        return []
    return _placed(json.loads(body, object_pairs_hook=tuple), "")


def _placed(value: Any, path: str) -> list[str]:
    found: list[str] = []
    if isinstance(value, tuple):
        seen: set[str] = set()
        for name, inner in value:
            at = f"{path}.{name}" if path else name
            if name in seen:
                found.append(at)
            else:
                found += _placed(inner, at)
            seen.add(name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += _placed(inner, f"{path}[{index}]")
    return found


def read_yaml(body: bytes) -> Any:
    """Decode YAML 1.1, of which JSON is a part, its first document alone; raises ValueError."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        import yaml

        try:
            return next(iter(yaml.load_all(body, Loader=_loader())), None)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
            raise ValueError(f"yaml: line {line}: {error.problem or error.context}") from error
        except (yaml.YAMLError, ValueError) as error:
            raise ValueError(f"yaml: {str(error).splitlines()[0]}") from error


@functools.cache
def _loader() -> Any:
    """Give a loader that reads ``y`` and ``n`` as booleans too, as YAML 1.1 and Go's reader do."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        pass

    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), list("yYnN"))
    Loader.add_constructor(
        "tag:yaml.org,2002:bool",
        lambda loader, node: loader.construct_scalar(node).lower() in ("y", "yes", "on", "true"),
    )
    # Times stay text: JSON has none.
    Loader.yaml_implicit_resolvers = {
        letter: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
        for letter, pairs in Loader.yaml_implicit_resolvers.items()
    }
    return Loader


def excerpt(body: bytes) -> str:
    """Give the beginning of a body as an error shows it: text if it looks like an object, else in hexadecimal."""
    if not body:
        return "<empty>"
    if body.startswith(b"{"):
        text = body[: SHOWN - 2 if len(body) > SHOWN else SHOWN].decode("utf-8", "replace")
        return text + (" ..." if len(body) > SHOWN else "")
    return body[: SHOWN - 1].hex() + (" ..." if len(body) > SHOWN else "")

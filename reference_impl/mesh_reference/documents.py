"""YAML in and out: multi-document text to values that know the line of each field, and back.

The only importer of PyYAML. It does not know what a document means; scalars are
read as Kubernetes reads them (no timestamps, no base-60 numbers, no duplicate keys).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

try:  # The C loader is ten times as fast; a PyYAML built without libyaml lacks it.
    from yaml import CSafeDumper as _BaseDumper
    from yaml import CSafeLoader as _BaseLoader
except ImportError:  # pragma: no cover - depends on how PyYAML was built
    from yaml import SafeDumper as _BaseDumper  # type: ignore[assignment]
    from yaml import SafeLoader as _BaseLoader  # type: ignore[assignment]

Path = tuple[str | int, ...]
"""A field's place in a document: ``("spec", "http", 0, "route")``."""

MAX_BYTES = 8 * 1024 * 1024
"""Larger input is refused unread: no API server would take it either (its limit is 3 MiB a request)."""
MAX_NODES = 250_000
"""Nodes of one document with aliases expanded; more is an alias bomb."""
MAX_DEPTH = 100

_MARKER = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_SIMPLE_KEY = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]*$")


class DocumentError(Exception):
    """Text that is no YAML document. ``str()`` is one line: ``file:line:column: what``."""

    def __init__(self, source: str, line: int, column: int, problem: str) -> None:
        super().__init__(f"{source}:{line}:{column}: {problem}")
        self.source, self.line, self.column, self.problem = source, line, column, problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document of a file: its value, its raw text and where its fields stand (line and column, from 1)."""

    value: Any
    source: str
    line: int
    text: str
    places: Mapping[Path, tuple[int, int]] = field(default_factory=dict)

    def line_of(self, path: Path) -> int:
        """The line of the field, or of its nearest ancestor that is written down."""
        return self.place_of(path)[0]

    def place_of(self, path: Path) -> tuple[int, int]:
        """As `line_of`, with the column."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.places:
                return self.places[path[:end]]
        return self.line, 1


class _Loader(_BaseLoader):
    """Scalars as Kubernetes' YAML reads them."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
    ]
    for first, resolvers in _BaseLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)


class _Dumper(_BaseDumper):
    """Lists indented as kubectl prints them; no anchors; literal style for text of several lines."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _represent_text(dumper: Any, value: str) -> Any:
    block = "\n" in value and not any(line != line.rstrip() for line in value.split("\n"))
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if block else None)


_Dumper.add_representer(str, _represent_text)


def load_all(text: str, source: str = "-") -> list[Document]:
    """Every document of the text that holds something; raises `DocumentError` at the first bad one."""
    documents = []
    for item in each(text, source):
        if isinstance(item, DocumentError):
            raise item
        if item.value is not None:
            documents.append(item)
    return documents


def each(text: str, source: str = "-") -> Iterator[Document | DocumentError]:
    """The documents in order, an error in the place of one that does not parse: a batch goes on with the rest.

    A document of nothing but comments comes with the value None.
    """
    size = len(text.encode(errors="surrogatepass"))
    if size > MAX_BYTES:
        yield DocumentError(source, 1, 1, f"{size} bytes are more than the {MAX_BYTES} this command reads")
        return
    for line, segment in _segments(text):
        try:
            yield _load(segment, source, line)
        except DocumentError as problem:
            yield problem


def dump(value: Any) -> str:
    """One document as YAML text, keys in their own order."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=4096
    )
    return text


def dump_all(values: Iterable[Any]) -> str:
    """Documents divided by ``---``."""
    return "---\n".join(dump(value) for value in values)


def render(path: Path) -> str:
    """The path as Kubernetes writes it: ``spec.http[0].match[1].headers[x-version]``."""
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
        elif _SIMPLE_KEY.match(part):
            out += f".{part}" if out else part
        else:
            out += f"[{part}]"
    return out


def _segments(text: str) -> Iterator[tuple[int, str]]:
    starts = [match.start() for match in _MARKER.finditer(text)]
    if not starts or text[: starts[0]].strip():
        starts.insert(0, 0)
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        yield text.count("\n", 0, start) + 1, text[start:end]


def _load(segment: str, source: str, first_line: int) -> Document:
    loader = _Loader(segment)
    try:
        node = loader.get_single_node()
        builder = _Builder(loader, source, first_line)
        value = None if node is None else builder.build(node, (), 0)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        what = problem.problem or problem.context or "not YAML"
        raise DocumentError(source, first_line + line, column + 1, what) from problem
    except (yaml.YAMLError, RecursionError, ValueError) as problem:
        reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise DocumentError(source, first_line, 1, reason) from problem
    finally:
        loader.dispose()
    line = first_line if node is None else first_line + int(node.start_mark.line)
    return Document(value=value, source=source, line=line, text=segment, places=builder.places)


class _Builder:
    """Turns composed nodes into plain values and notes each field's line."""

    def __init__(self, loader: Any, source: str, first_line: int) -> None:
        self._loader, self._source, self._first_line = loader, source, first_line
        self._nodes = 0
        self.places: dict[Path, tuple[int, int]] = {}

    def build(self, node: yaml.Node, path: Path, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise self._error(node, "the document is too deep or, with its aliases expanded, too large")
        self._note(path, node)
        if isinstance(node, yaml.MappingNode):
            merges = any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value)
            if merges:
                self._loader.flatten_mapping(node)
            return self._mapping(node, path, depth, own_keys_win=merges)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        return self._loader.construct_object(node)

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int, *, own_keys_win: bool) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key in result and not own_keys_win:
                raise self._error(key_node, f"duplicate key {key!r}")
            self._note((*path, key), key_node)
            result[key] = self.build(value_node, (*path, key), depth + 1)
        return result

    def _note(self, path: Path, node: yaml.Node) -> None:
        """The first place counts: a field's key comes before its value."""
        mark = node.start_mark
        self.places.setdefault(path, (self._first_line + mark.line, mark.column + 1))

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, "a key must be plain text")
        # JSON has text keys only: 80: x is the key "80", and true: x the key "true".
        value = self._loader.construct_object(node)
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(node.value)

    def _error(self, node: yaml.Node, problem: str) -> DocumentError:
        mark = node.start_mark
        return DocumentError(self._source, self._first_line + mark.line, mark.column + 1, problem)

"""Label and field selectors: text to a predicate over objects. Pure.

It does not know which fields a resource can be selected by: the caller passes them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver import errors, objects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_mesh.contracts import Json

    Predicate = Callable[[Json], bool]
    Requirement = Callable[[Mapping[str, str]], bool]

_TOKEN = re.compile(r"==|!=|[=!<>(),]|[^\s=!<>(),]+")
_OPERATORS = ("in", "notin", "=", "==", "!=", "<", ">")
_SYMBOLS = ("=", "==", "!=", "!", "<", ">", "(", ")", ",")

FIELDS: dict[str, tuple[str, ...]] = {
    "pods": (
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
        "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName",
    ),
    "secrets": ("type",),
    "events": (
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
        "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
        "reportingComponent", "source", "type",
    ),
    "namespaces": ("status.phase",),
    "nodes": ("spec.unschedulable",),
    "services": ("spec.clusterIP", "spec.type"),
    "replicasets.apps": ("status.replicas",),
    "jobs.batch": ("status.successful",),
}  # fmt: skip
"""Fields besides ``metadata.name`` and ``metadata.namespace`` by which a built-in resource can be selected."""


def parse_labels(text: str) -> list[Requirement]:
    """Read a label selector; raises StatusError 400 in the words of Kubernetes' own parser."""
    return _Labels(text).requirements()


class _Labels:
    """A reader of one label selector. The words of its errors are those of ``k8s.io/apimachinery``."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        self._place = 0

    def _peek(self) -> str:
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def _take(self) -> str:
        part = self._peek()
        self._place += 1
        return part

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        while True:
            part = self._peek()
            if part == "!" or _is_word(part):
                found.append(self._requirement())
                part = self._take()
                if part == "":
                    return found
                if part != ",":
                    raise errors.bad_request(f"found '{part}', expected: ',' or 'end of string'")
                if self._peek() != "!" and not _is_word(self._peek()):
                    raise errors.bad_request(f"found '{self._peek()}', expected: identifier after ','")
            elif part == "":
                return found
            else:
                raise errors.bad_request(f"found '{part}', expected: !, identifier, or 'end of string'")

    def _requirement(self) -> Requirement:
        part = self._take()
        absent = part == "!"
        key = self._take() if absent else part
        if not _is_word(key):
            raise _unparsed(f"found '{key}', expected: identifier")
        if (fault := objects.label_key_fault(key)) is not None:
            raise _unparsed(f'<nil>: Invalid value: "{key}": {fault}')
        if absent:
            return lambda labels: key not in labels
        if self._peek() in ("", ","):
            return lambda labels: key in labels
        operator = self._take()
        if operator not in _OPERATORS:
            raise _unparsed(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")
        values = self._values() if operator in ("in", "notin") else [self._exact()]
        for index, value in enumerate(values):
            if operator in ("<", ">"):
                if not value.lstrip("-").isdigit():
                    why = "for 'Gt', 'Lt' operators, the value must be an integer"
                    raise _unparsed(f'values[{index}]: Invalid value: "{value}": {why}')
            elif (fault := objects.label_value_fault(value)) is not None:
                raise _unparsed(f'values[{index}][{key}]: Invalid value: "{value}": {fault}')
        return _judge(key, operator, values)

    def _exact(self) -> str:
        if self._peek() in ("", ","):
            return ""
        part = self._take()
        if not _is_word(part):
            raise _unparsed(f"found '{part}', expected: identifier")
        return part

    def _values(self) -> list[str]:
        part = self._take()
        if part != "(":
            raise _unparsed(f"found '{part}' expected: '('")
        values: list[str] = []
        last = ","
        while True:
            part = self._take()
            if part == ")":
                return [*values, ""] if last == "," else values
            if part == ",":
                if last == ",":
                    values.append("")
            elif _is_word(part) and last == ",":
                values.append(part)
            else:
                raise _unparsed(f"found '{part}', expected: ',' or ')'")
            last = part


def _is_word(part: str) -> bool:
    return bool(part) and part not in _SYMBOLS


def _unparsed(why: str) -> errors.StatusError:
    return errors.bad_request(f"unable to parse requirement: {why}")


def _judge(key: str, operator: str, values: list[str]) -> Requirement:
    wanted = frozenset(values)
    if operator in ("in", "=", "=="):
        return lambda labels: labels.get(key) in wanted
    if operator in ("notin", "!="):
        return lambda labels: labels.get(key) not in wanted
    bound = int(values[0])

    def ordered(labels: Mapping[str, str]) -> bool:
        text = labels.get(key, "")
        if not text.lstrip("-").isdigit():
            return False
        return int(text) < bound if operator == "<" else int(text) > bound

    return ordered


def parse_fields(text: str, allowed: Sequence[str]) -> list[tuple[str, bool, str]]:
    """Read a field selector into (path, wanted equal, value); raises StatusError 400 for a field not in ``allowed``."""
    found: list[tuple[str, bool, str]] = []
    for term in filter(None, re.split(r"(?<!\\),", text)):
        match = re.fullmatch(r"([^!=]*)(!=|==|=)(.*)", term, re.DOTALL)
        if match is None:
            raise errors.bad_request(f"invalid selector: '{term}'; can't understand '{term}'")
        path = match[1].strip()
        if not path and not match[3] and match[2] != "!=":
            continue
        if path not in ("metadata.name", "metadata.namespace", *allowed):
            if allowed:
                raise errors.bad_request(f"field label not supported: {path}")
            why = 'is not a known field selector: only "metadata.name", "metadata.namespace"'
            raise errors.bad_request(f'"{path}" {why}')
        found.append((path, match[2] != "!=", re.sub(r"\\(.)", r"\1", match[3])))
    return found


def predicate(labels: str, fields: str, allowed: Sequence[str]) -> Predicate | None:
    """Give what decides whether an object is selected, or None when everything is."""
    requirements = parse_labels(labels) if labels else []
    terms = parse_fields(fields, allowed) if fields else []
    if not requirements and not terms:
        return None

    def matches(obj: Json) -> bool:
        own = obj["metadata"].get("labels") or {}
        return all(requirement(own) for requirement in requirements) and all(
            (_field(obj, path) == value) is wanted for path, wanted, value in terms
        )

    return matches


def _field(obj: Json, path: str) -> str:
    value = objects.at(obj, path)
    if path == "source" and isinstance(value, dict):
        value = value.get("component")
    if value is None:
        return "false" if path in ("spec.unschedulable", "spec.hostNetwork") else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)

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

_SET = re.compile(r"\s*(?P<key>[^\s!=,()<>]+)\s+(?P<operator>in|notin)\s*\((?P<values>[^)]*)\)\s*")
_EQUAL = re.compile(r"\s*(?P<key>[^\s!=,()<>]+)\s*(?P<operator>==|!=|=)\s*(?P<value>[^\s,=!()]*)\s*")
_ORDER = re.compile(r"\s*(?P<key>[^\s!=,()<>]+)\s*(?P<operator>[<>])\s*(?P<value>-?\d+)\s*")
_EXISTS = re.compile(r"\s*(?P<absent>!?)\s*(?P<key>[^\s!=,()<>]+)\s*")

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
    """Read a label selector; raises StatusError 400."""
    requirements: list[Requirement] = []
    position = 0
    while position < len(text):
        match = None
        for pattern in (_SET, _EQUAL, _ORDER, _EXISTS):
            match = pattern.match(text, position)
            if match is not None and (match.end() == len(text) or text[match.end()] == ","):
                break
            match = None
        if match is None:
            raise errors.bad_request(f"unable to parse requirement: {text[position:]!r} in the label selector {text!r}")
        key = match["key"]
        if (fault := objects.label_key_fault(key)) is not None:
            raise errors.bad_request(f'unable to parse requirement: <nil>: Invalid value: "{key}": {fault}')
        requirements.append(_requirement(match.groupdict()))
        position = match.end() + 1
    return requirements


def _requirement(parts: dict[str, str | None]) -> Requirement:
    key = parts["key"] or ""
    operator = parts.get("operator")
    if operator is None:
        if parts["absent"]:
            return lambda labels: key not in labels
        return lambda labels: key in labels
    if operator in ("in", "notin"):
        values = frozenset(value.strip() for value in (parts["values"] or "").split(","))
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    value = parts["value"] or ""
    if operator in ("<", ">"):
        bound = int(value)

        def ordered(labels: Mapping[str, str]) -> bool:
            text = labels.get(key, "")
            if not text.lstrip("-").isdigit():
                return False
            return int(text) < bound if operator == "<" else int(text) > bound

        return ordered
    if operator == "!=":
        return lambda labels: labels.get(key) != value
    return lambda labels: labels.get(key) == value


def parse_fields(text: str, allowed: Sequence[str]) -> list[tuple[str, bool, str]]:
    """Read a field selector into (path, wanted equal, value); raises StatusError 400 for a field not in ``allowed``."""
    found: list[tuple[str, bool, str]] = []
    for term in filter(None, re.split(r"(?<!\\),", text)):
        match = re.fullmatch(r"([^!=]+)(!=|==|=)(.*)", term, re.DOTALL)
        if match is None:
            raise errors.bad_request(f"invalid selector: '{term}'; can't understand '{term}'")
        path = match[1].strip()
        if path not in ("metadata.name", "metadata.namespace", *allowed):
            raise errors.bad_request(f"field label not supported: {path}")
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

"""The CEL of the CRDs: it refuses nothing that Galley takes, speaks with Galley's rule id, and every rule of it is used.

Judged by the embedded cluster's own API server code, in process.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from mesh_reference.model.schema import kinds, types
from mesh_reference.model.schema.openapi import schema_of
from mesh_reference.validation import galley
from mesh_reference.validation.findings import errors
from pytest_mesh.clusters.local.apiserver import cel

from .test_rules_refuse import ALL, KINDS, changed, document

Json = dict[str, Any]
KEPT = {kind.kind: schema_of(kind.spec) for kind in kinds.KINDS}
ID = re.compile(r"\[(\w+)\]$")


def refused(kind: str, spec: Json) -> list[str]:
    """The ids of the rules that the API server would refuse the spec by; every rule must be readable to it."""
    unread: list[str] = []
    info: Any = SimpleNamespace(schema=KEPT[KINDS[kind][0]])
    causes = list(cel.check(info, spec, None, unread))
    assert unread == []
    assert all("rule evaluation error" not in cause.message for cause in causes), causes
    found = [ID.search(cause.message) for cause in causes]
    return [match[1] for match in found if match]


@pytest.mark.parametrize(("kind", "case"), ALL)
def test_the_api_server_refuses_by_galleys_rules_alone(kind: str, case: Json) -> None:
    assert refused(kind, changed(case, "good")) == []
    spec = changed(case, "bad")
    ids = refused(kind, spec)
    assert set(ids) <= {finding.rule for finding in errors(galley.validate(document(kind, spec)))}


def rules_of(wanted: types.Type) -> set[str]:
    found = {rule.rule for rule in getattr(wanted, "rules", ())}
    match wanted:
        case types.ListOf():
            return found | rules_of(wanted.item)
        case types.MapOf():
            return found | rules_of(wanted.value)
        case types.Message():
            return found.union(*(rules_of(inner) for inner in wanted.fields.values()))
    return found


def test_every_rule_of_a_definition_refuses_something() -> None:
    written = {rule for kind in kinds.KINDS for rule in rules_of(kind.spec)}
    cases = {param.values[1]["rule"]: param.values for param in ALL}
    assert written <= cases.keys()
    silent = set()
    for rule in written:
        told = {
            said
            for kind, case in (param.values for param in ALL)
            if case["rule"] == rule
            for said in refused(kind, changed(case, "bad"))
        }
        silent |= {rule} - told
    assert silent == set()

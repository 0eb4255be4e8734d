"""Galley over generated documents: it never crashes, its paths exist, and what the schema takes the shape takes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_reference.documents import Path
from mesh_reference.model.schema import kinds, types
from mesh_reference.model.schema.shape import misfits
from mesh_reference.validation import galley

Json = dict[str, Any]
KIND_NAMES = [kind.kind for kind in kinds.KINDS]
LAW = settings(max_examples=30, deadline=None)
WORDS = st.sampled_from(
    ["", "*", "a", "v1", "reviews", "*.com", "a b", "10.0.0.1", "%", "(", ".*", "shop/edge", "mesh", "."]
)
DURATIONS = st.sampled_from(["0s", "1ms", "1.5s", "1h30m", "-1s", "10us"])


def of(wanted: types.Type) -> st.SearchStrategy[Any]:
    """Values of the type's shape, short and odd ones above all."""
    match wanted:
        case types.Text():
            return WORDS
        case types.Flag():
            return st.booleans()
        case types.Integer():
            return st.sampled_from([0, 1, 2, 80, 100, 503, 65536, wanted.minimum, wanted.maximum])
        case types.Number():
            return st.sampled_from([0, -1.5, 0.00001, 50, 100, 101.0])
        case types.Duration():
            return DURATIONS
        case types.Binary():
            return st.sampled_from(["eHg=", "eHh4"])
        case types.Choice():
            return st.sampled_from(wanted.names)
        case types.ListOf():
            return st.lists(of(wanted.item), max_size=2)
        case types.MapOf():
            keys = st.sampled_from(["0", "80", "70000"]) if wanted.key == "port" else WORDS
            return st.dictionaries(keys, of(wanted.value), max_size=2)
        case types.Message():
            return st.deferred(lambda: message(wanted))


@st.composite
def message(draw: st.DrawFn, wanted: types.Message) -> Json:
    names = draw(st.lists(st.sampled_from(sorted(wanted.fields)), unique=True, max_size=4))
    for group in wanted.one_of:
        names = [name for name in names if name not in group or name == next(one for one in names if one in group)]
    nulls = draw(st.integers(0, 9)) == 0
    return {name: None if nulls else draw(of(wanted.fields[name])) for name in names}


def resource(kind: types.Kind, spec: Any) -> Json:
    return {"apiVersion": f"{kind.group}/v1", "kind": kind.kind, "metadata": {"name": "x"}, "spec": spec}


def leads_somewhere(document: Any, path: Path) -> bool:
    """Every step but the last exists: the last may be the field that is missing."""
    for step in path[:-1]:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True


@pytest.mark.parametrize("kind", kinds.KINDS, ids=KIND_NAMES)
def test_a_document_of_the_right_shape_gets_findings_at_paths_that_exist(kind: types.Kind) -> None:
    @LAW
    @given(spec=of(kind.spec))
    def law(spec: Json) -> None:
        document = resource(kind, spec)
        before = copy.deepcopy(document)
        assert list(misfits(spec, kind.spec, ())) == []
        found = galley.validate(document)
        assert document == before
        assert galley.validate(document) == found
        for finding in found:
            assert finding.message
            assert leads_somewhere(document, finding.path), finding.text

    law()


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1, 2), st.floats(), WORDS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["http", "hosts", "route", "host", "trafficPolicy", "subsets", "mtls", "x", "match"]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=15,
)


@LAW
@given(kind=st.sampled_from(kinds.KINDS), spec=ANYTHING, metadata=ANYTHING)
def test_a_document_of_any_shape_gets_findings_and_no_crash(kind: types.Kind, spec: Any, metadata: Any) -> None:
    found = galley.validate({**resource(kind, spec), "metadata": metadata})
    if spec is not None and not isinstance(spec, dict):
        assert [finding.rule for finding in found if finding.path == ("spec",)] == ["wrong-type"]
    if metadata is not None and not isinstance(metadata, dict):
        assert "metadata" in [finding.path[0] for finding in found]


@LAW
@given(document=st.dictionaries(st.sampled_from(["apiVersion", "kind", "metadata", "spec", "x"]), ANYTHING))
def test_a_document_without_a_known_kind_gets_one_finding_and_no_crash(document: Json) -> None:
    assert [finding.rule for finding in galley.validate(document)] == ["unknown-kind"]

"""The first gate: unknown fields, wrong types, unknown names, kinds that are not served; and durations."""

from __future__ import annotations

from typing import Any

import pytest

from mesh_reference.model.schema.duration import parse_duration
from mesh_reference.validation import galley
from mesh_reference.validation.findings import errors, refusal, warnings

Json = dict[str, Any]
ROUTE: Json = {"route": [{"destination": {"host": "reviews"}}]}


def texts(spec: Any, *, kind: str = "VirtualService", api: str = "networking.istio.io/v1", **more: Any) -> list[str]:
    document = {"apiVersion": api, "kind": kind, "metadata": {"name": "x"}, "spec": spec, **more}
    return [finding.text for finding in galley.validate(document)]


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            {"hosts": ["a"], "http": [{**ROUTE, "timeuot": "1s"}]},
            'spec.http[0].timeuot: unknown field "spec.http[0].timeuot" (HTTPRoute has no such field; did you mean "timeout"?) [unknown-field]',
        ),
        ({"hosts": ["a"], "http": [ROUTE], "zzz": 1}, 'spec.zzz: unknown field "spec.zzz" (VirtualService has no such field) [unknown-field]'),
        ({"hosts": "a"}, 'spec.hosts: must be of type array: "string" (want a list, have the text "a") [wrong-type]'),
        ({"hosts": [80]}, 'spec.hosts[0]: must be of type string: "integer" (want text, have 80: write "80" in quotes) [wrong-type]'),
        ({"hosts": [None]}, 'spec.hosts[0]: must be of type string: "null" (may not be null) [null]'),
        ({"http": [[]]}, "spec.http[0]: must be of type object: \"array\" (want HTTPRoute's fields, have a list) [wrong-type]"),
        ({"http": [{"headers": {"request": {"set": []}}}]}, 'spec.http[0].headers.request.set: must be of type object: "array" (want a map, have a list) [wrong-type]'),
        ({"http": [{"timeout": 5}]}, 'spec.http[0].timeout: must be of type string: "integer" (want a duration such as 500ms or 1.5s, have 5) [wrong-type]'),
        (
            {"http": [{"timeout": "5"}]},
            (
                "spec.http[0].timeout: duration must be greater than 1ms ('5' is not a duration: write a number with a "
                "unit, such as 500ms, 1.5s or 1h30m) [V27a]"
            ),
        ),
        ({"http": [{"mirrorPercent": -1}]}, "spec.http[0].mirrorPercent: should be greater than or equal to 0 (-1 is not in 0..4294967295) [wrong-type]"),
        ({"http": [{"mirrorPercent": "5"}]}, 'spec.http[0].mirrorPercent: must be of type integer: "string" (want a whole number, have the text "5") [wrong-type]'),
        ({"http": [{"retries": {"attempts": True}}]}, 'spec.http[0].retries.attempts: must be of type integer: "boolean" (want a whole number, have true) [wrong-type]'),
        ({"http": [{"mirrorPercentage": {"value": "x"}}]}, 'spec.http[0].mirrorPercentage.value: must be of type number: "string" (want a number, have the text "x") [wrong-type]'),
        ({"http": [{"match": [{"ignoreUriCase": "yes"}]}]}, 'spec.http[0].match[0].ignoreUriCase: must be of type boolean: "string" (want true or false, have the text "yes") [wrong-type]'),
        ({"http": [{"directResponse": {"body": {"bytes": "?"}}}]}, 'spec.http[0].directResponse.body.bytes: must be of type byte: "?" (not valid base64) [wrong-type]'),
        (
            {"http": [{"match": [{"uri": {"exact": "/", "prefix": "/"}}]}]},
            (
                "spec.http[0].match[0].uri: must validate one and only one schema (oneOf). Found 2 valid alternatives "
                "(only one of exact, prefix, regex may be set, have exact and prefix) [one-of]"
            ),
        ),
    ],
)  # fmt: skip
def test_a_wrong_shape_is_told_with_its_place(spec: Json, text: str) -> None:
    assert texts(spec) == [text]


def test_an_unknown_name_is_told_with_the_known_ones() -> None:
    spec = {"host": "a", "trafficPolicy": {"tls": {"mode": "ISTIO"}}}
    assert texts(spec, kind="DestinationRule") == [
        (
            'spec.trafficPolicy.tls.mode: Unsupported value: "ISTIO": supported values: "DISABLE", "SIMPLE", "MUTUAL", '
            '"ISTIO_MUTUAL" [unknown-name]'
        )
    ]


def test_a_ports_key_must_be_a_number() -> None:
    spec = {"selector": {"matchLabels": {"a": "b"}}, "portLevelMtls": {"http": {"mode": "STRICT"}}}
    assert texts(spec, kind="PeerAuthentication", api="security.istio.io/v1") == [
        'spec.portLevelMtls.http: port must be in range 1..65535 (want a port\'s number as key, have "http") [V59c]'
    ]


def test_rules_run_only_on_a_document_of_the_right_shape() -> None:
    assert texts({"hosts": ["*"], "http": [ROUTE], "zzz": 1}) == [
        'spec.zzz: unknown field "spec.zzz" (VirtualService has no such field) [unknown-field]'
    ]


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha3"])
def test_every_served_version_is_judged_alike(version: str) -> None:
    assert texts({"hosts": ["a"], "http": [ROUTE]}, api=f"networking.istio.io/{version}") == []
    assert texts({"hosts": ["*"], "http": [ROUTE]}, api=f"networking.istio.io/{version}") != []


@pytest.mark.parametrize(
    ("api", "kind"),
    [
        ("networking.istio.io/v2", "VirtualService"),
        ("networking.istio.io/v1", "EnvoyFilter"),
        ("security.istio.io/v1alpha3", "PeerAuthentication"),
        ("networking.istio.io", "VirtualService"),
        ("", ""),
    ],
)
def test_what_is_not_served_is_refused_with_what_is(api: str, kind: str) -> None:
    (text,) = texts({}, kind=kind, api=api)
    assert text.startswith("kind: unrecognized type ")
    assert "this mesh serves VirtualService (networking.istio.io/v1|v1beta1|v1alpha3)" in text


@pytest.mark.parametrize(
    ("api", "ours"),
    [
        ("networking.istio.io/v1", True),
        ("telemetry.istio.io/v1", True),
        ("apps/v1", False),
        ("v1", False),
        ("gateway.networking.k8s.io/v1", False),
        ("notistio.io/v1", False),
    ],
)
def test_other_groups_are_no_business_of_galleys(api: str, ours: bool) -> None:
    assert galley.is_ours({"apiVersion": api}) is ours


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        (
            {"name": "x", "namespace": "shop", "annotations": {"istio.io/dry-run": "true"}},
            (
                "metadata.annotations[istio.io/dry-run]: shop/x has unsupported annotation istio.io/dry-run, "
                "please remove the annotation [annotation]"
            ),
        ),
        (
            {"annotations": {"internal.istio.io/webhook-always-reject": ""}},
            (
                'metadata.annotations[internal.istio.io/webhook-always-reject]: "internal.istio.io/webhook-always-reject" '
                "annotation found, rejecting [annotation]"
            ),
        ),
        ([], 'metadata: must be of type object: "array" (want ObjectMeta\'s fields, have a list) [wrong-type]'),
        (
            {"annotations": "x"},
            'metadata.annotations: must be of type object: "string" (want a map, have the text "x") [wrong-type]',
        ),
    ],
)
def test_metadata_is_judged_too(metadata: Any, text: str) -> None:
    assert texts({"hosts": ["a"], "http": [ROUTE]}, metadata=metadata) == [text]


def test_an_unknown_field_beside_spec_is_refused() -> None:
    assert texts({"hosts": ["a"], "http": [ROUTE]}, specs={}) == [
        'specs: unknown field "specs" (VirtualService has no such field) [unknown-field]'
    ]


def test_a_null_field_counts_as_unset() -> None:
    assert texts({"hosts": ["a"], "http": [{**ROUTE, "timeout": None, "fault": None}], "tls": None}) == []


def test_a_refusal_is_one_line_for_one_error_and_a_list_for_more() -> None:
    found = galley.validate(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "spec": {"hosts": ["*"], "http": [{**ROUTE, "mirrorPercent": 101}]},
        }
    )
    assert refusal(found[:1]) == f"configuration is invalid: {found[0].text}"
    assert refusal(found).startswith("configuration is invalid: 2 errors occurred:\n\t* ")
    assert refusal(warnings(found)) == ""
    assert len(errors(found)) + len(warnings(found)) == len(found) == 3


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("1s", 10**9), ("1.5s", 15 * 10**8), ("1h30m", 5400 * 10**9), ("-2ms", -2 * 10**6), ("0", 0), (".5us", 500), ("1m1ns", 60 * 10**9 + 1)],
)  # fmt: skip
def test_durations_are_gos(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "5", "s", "1 s", "1sec", "1s ", "1e3s", "+", "١s", "300000h1s999999999h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|292 years"):
        parse_duration(text)

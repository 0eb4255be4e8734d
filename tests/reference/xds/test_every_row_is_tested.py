"""docs/rows.md: every row of Istio's networking semantics, the tests that hold it, and what is left out and why.

The page is made from the tests themselves; ``--update-goldens`` writes it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "rows.md"
ENVOY = {"test_envoy_is_served.py", "test_gateway_is_served.py", "rows_scene.py", "rows_by_name.py"}
ROWS: dict[str, tuple[str, ...]] = {
    "F": (
        "an unknown subset or host is 503 NC", "the same by the Gateway API is 500", "a subset without pods is 503 UH",
        "no route matches: 404", "no block is for this client: the Service's default", "unknown host, ALLOW_ANY: on to it",
        "unknown host, REGISTRY_ONLY: 502", "unknown TCP destination, REGISTRY_ONLY: closed", "overflow: 503 UO",
        "connect failures, retries, timeouts: their flags", "plaintext to STRICT: reset", "a gateway without the host: 404",
    ),
    "B": (
        "gateways unset is the mesh", "short hosts belong to the VirtualService's namespace", "hosts compare without case",
        "full names reach every client it is exported to", "of two for a host the oldest has it all", "private before exported before public",
        "exact before wildcard, the most specific wildcard", "on a gateway they are merged, catch-alls last", "hosts in common with the server; httpsRedirect",
        "hosts that are no Service: port 80", "duplicate hosts and * are refused", "exportTo", "destinations of an imported VirtualService", "the destination's port",
    ),
    "M": (
        "name", "uri.exact", "uri.prefix, raw", "uri.regex, whole", "ignoreUriCase", "scheme, method, authority", "headers", "withoutHeaders",
        "claims of a token", "queryParams", "port", "sourceLabels", "sourceNamespace", "gateways", "statPrefix", "no match",
    ),
    "W": (
        "weights divide", "any sum", "one destination takes all", "a zero among several takes none", "all zero is refused", "negative is refused",
        "overflow is refused", "headers of a branch", "an unknown subset among weights",
    ),
    "R": (
        "rewrite.uri", "rewrite.uriRegexRewrite", "rewrite.authority", "redirect", "redirectCode", "directResponse", "mirrors", "fault.delay", "fault.abort",
        "timeout", "default retries", "attempts", "retryOn with numbers", "per-try timeout, back-off, localities, previous hosts", "retries and hashes",
        "the server's side", "headers", "corsPolicy", "delegates", "a route without an action",
    ),
    "T": (
        "SNI hosts", "static conditions", "the first TCP block without subnets ends", "equal runtime matches", "weights by connection", "nothing matches", "all zero is refused",
    ),
    "D": (
        "subsets", "simple balancers", "consistent hashes", "ring and table sizes", "warm-up", "locality shares", "failover", "locality off, trafficDistribution",
        "TCP pool", "HTTP pool", "retry budget", "outlier detection", "tls.mode", "credentialName in a sidecar", "workloadSelector", "tunnel, proxyProtocol",
        "the mesh's default policy", "the pool inbound", "rules that are not exported",
    ),
    "S": (
        "resolution", "location and selection", "endpoints' weights, localities, ports", "TCP without an address", "which Sidecar applies", "egress hosts",
        "ingress", "outbound policy", "inbound pools", "exportTo of Services", "Gateways",
    ),
}  # fmt: skip
LEFT_OUT = {
    "F2": "the Gateway API is not served",
    "F10": "Envoy's own; timeouts and retries are R8 to R14",
    "B11": "refused by Galley: tests/reference/validation",
    "M9": "RequestAuthentication is not acted on: such a VirtualService is not served, and named",
    "D17": "the mesh config refuses defaultTrafficPolicy as an unknown field",
}
ELSEWHERE = {
    "F6": "the suite: traffic to unknown hosts",
    "F11": "the suite: StrictRefusesPlaintext",
}


def found() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Row: unit tests, and row: tests through a real Envoy, as they cite it in comments or name it."""
    unit: dict[str, list[str]] = defaultdict(list)
    envoy: dict[str, list[str]] = defaultdict(list)
    for path in sorted(HERE.glob("*.py")):
        if path.name == Path(__file__).name:
            continue
        where, test = (envoy if path.name in ENVOY else unit), ""
        for line in path.read_text().splitlines():
            if named := re.match(r"(?:async )?def (test_\w+)", line):
                test = named[1]
            cited = line.partition("#")[2]
            if path.name in {"rows_scene.py", "rows_by_name.py"}:
                key = re.match(r'        "([A-Z]\d+)[ \w]*": \(', line)
                cited, test = (key[1] if key else ""), "test_the_row_is_seen_from_outside"
            for row in re.findall(r"\b([FBMWRTDS]\d{1,2})\b", cited):
                if test and test not in where[row]:
                    where[row].append(test)
    return unit, envoy


def page() -> str:
    unit, envoy = found()
    out = [
        "# Rows of the networking semantics and their tests", "",
        "Made by `pytest tests/reference/xds/test_every_row_is_tested.py --update-goldens` from the tests, which cite the rows.",
        "Tests are in `tests/reference/xds`. *Left out* says why.", "",
        "| row | what it says | on generated configuration | through a real Envoy |", "|---|---|---|---|",
    ]  # fmt: skip
    for letter, titles in ROWS.items():
        for number, title in enumerate(titles, 1):
            row = f"{letter}{number}"
            if row in LEFT_OUT:
                out.append(f"| {row} | {title} | left out: {LEFT_OUT[row]} | |")
                continue
            units = ", ".join(f"`{name}`" for name in unit.get(row, ()))
            seen = ", ".join(f"`{name}`" for name in dict.fromkeys(envoy.get(row, ()))) or ELSEWHERE.get(row, "")
            out.append(f"| {row} | {title} | {units} | {seen} |")
    return "\n".join(out) + "\n"


@pytest.mark.parametrize(
    "row", [f"{letter}{number + 1}" for letter, titles in ROWS.items() for number in range(len(titles))]
)
def test_the_row_has_a_test_or_a_reason(row: str) -> None:
    unit, envoy = found()
    assert unit.get(row) or envoy.get(row) or row in LEFT_OUT


def test_the_page_is_up_to_date(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-goldens"):
        PAGE.write_text(page())
    assert PAGE.read_text() == page(), "run with --update-goldens and read what it writes"

"""The suite against no mesh at all: every check fails, and none is left out. A lane of its own (`make null`).

Twice: where a proxy is known by name, whose absence the rooms' fixtures tell, and
where nothing is known of proxies, so that each check must find out by itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
sys.path.insert(0, str(ROOT / "tests" / "mutants"))

import reasons  # noqa: E402 - found by the line above

Found = dict[str, tuple[str, str, str]]
"""Of each check its verdict, the kind of its failure, and what it said."""

_RESTARTS = "it restarts a control plane, and there is none"
LEFT_OUT = {
    "identity/test_operators_settings.py": _RESTARTS,
    "identity/test_root_rotation.py": _RESTARTS,
}
"""Files and checks that are not applicable where there is no mesh, and why."""
_ADDRESS = "the proxy's environment says where certificates are signed, and no proxy is known"
_INJECTION = "nothing is known of injection but what it leaves alone"
OF_PROXIES = {
    **LEFT_OUT,
    "identity/test_agents_socket.py": "the socket is in the proxy's container, and none is known",
    "identity/test_renewal_by_certificate.py": _ADDRESS,
    "identity/test_signing_requests.py": _ADDRESS,
    "identity/test_svid.py::test_no_two_leaves_have_one_serial": _ADDRESS,
    "injection/test_offline.py": _INJECTION,
    "injection/test_pod_contents.py": _INJECTION,
    "injection/test_pod_opt_out.py": _INJECTION,
    "routing/test_percentages.py::test_a_fifth_of_the_requests_is_copied": "a proxy counts the copies, and none can be asked",
}
"""Those that are not applicable where nothing is known of proxies, and why; with a proxy's name they fail."""
OF_SHARES = {
    "routing/protocols/test_protocols.py::test_grpc_calls_are_shared_out_one_by_one",
    "routing/protocols/test_protocols.py::test_requests_on_one_http2_connection_are_shared_out_one_by_one",
    "routing/test_seed.py::test_weights_share_out_the_requests_within_five_points",
    "routing/test_seed.py::test_weights_share_out_the_requests_within_two_points",
}
"""Without a proxy all requests of a connection come to one pod: no sample of shares, so these may say that they cannot tell."""


def run(directory: Path, implementation: str, *options: str) -> Found:
    """Run the extended suite against what an implementation's file (or name) says."""
    report, results = directory / "report.yaml", directory / "results.xml"
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "conformance/mesh_conformance", "-q", "-p", "no:cacheprovider", *options,
            "--mesh-cluster=local", f"--mesh-implementation={implementation}", "--mesh-cluster-name=null-mesh",
            f"--mesh-report={report}", f"--mesh-artifacts={directory}/artifacts", f"--junitxml={results}",
        ],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=1800,
        env={
            **os.environ, "MESH_EXTENDED": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH", "")))),
        },
    )  # fmt: skip
    assert done.returncode == 1, done.stdout[-3000:]
    ended = {one.test: one for one in reasons.read(results)}
    found: Found = {}
    for one in yaml.safe_load(report.read_text())["tests"]:
        name = one["id"].removeprefix("conformance/").removeprefix("mesh_conformance/")
        found[name] = (one["verdict"], ended[name].kind, one.get("message", ""))
    return found


def told(found: Found) -> str:
    """Give the run in a few lines: how many of each kind, and each check that did not fail."""
    counted = Counter(f"{verdict} ({kind})" if kind else verdict for verdict, kind, _ in found.values())
    lines = [f"{len(found)} checks: {', '.join(f'{number} {word}' for word, number in counted.items())}"]
    for name, (verdict, _, message) in found.items():
        if verdict != "failed":
            first = message.partition("\n")[0][:160]
            lines.append(f"  {verdict}: {name}: {first}")
    return "\n" + "\n".join(lines) + "\n"


def with_verdict(found: Found, verdict: str) -> set[str]:
    """Give the checks with a verdict."""
    return {name for name, one in found.items() if one[0] == verdict}


def listed(found: Found, places: Iterable[str]) -> set[str]:
    """Give the checks that lie in these files, or are these; each place must have one."""
    places = list(places)
    assert [one for one in places if not any(name.startswith(one) for name in found)] == []
    return {name for name in found if name.startswith(tuple(places))}


@pytest.mark.timeout(2000)
def test_no_check_passes_where_there_is_no_mesh(tmp_path, capsys):
    found = run(tmp_path, "none")

    with capsys.disabled():
        sys.stdout.write(told(found))
    assert len(found) >= 60
    assert with_verdict(found, "not-applicable") == listed(found, LEFT_OUT)
    assert with_verdict(found, "failed") == found.keys() - listed(found, LEFT_OUT)


@pytest.mark.timeout(2000)
def test_each_check_finds_out_by_itself_where_nothing_is_known_of_proxies(tmp_path, capsys):
    found = run(tmp_path, str(HERE / "none_without_proxies.toml"), "-p", "without_the_gate")

    with capsys.disabled():
        sys.stdout.write(told(found))
    not_applicable = listed(found, OF_PROXIES)
    assert with_verdict(found, "not-applicable") == not_applicable
    undecided = with_verdict(found, "inconclusive")
    assert undecided <= OF_SHARES
    assert with_verdict(found, "failed") == found.keys() - not_applicable - undecided
    assert [name for name in with_verdict(found, "failed") if found[name][1] == reasons.FIXTURE] == []

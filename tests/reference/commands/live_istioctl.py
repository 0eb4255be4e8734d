"""Tables and findings beside the real ``istioctl``: the same dump, the same manifests. Not among the quick tests.

``make istioctl-agreement``. istioctl is looked for in MESH_ISTIO_BIN and in PATH; without it these tests are skipped, and say so.
Deliberate differences are in the table of docs/commands.md.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from mesh_reference.cli import main

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import agreement  # noqa: E402
from analysis_cases import CASES, SOUND  # noqa: E402

ISTIOCTL = shutil.which(
    "istioctl", path=os.pathsep.join([os.environ.get("MESH_ISTIO_BIN", ""), os.environ.get("PATH", "")])
)
pytestmark = pytest.mark.skipif(
    ISTIOCTL is None, reason="NOT COMPARED: no istioctl in MESH_ISTIO_BIN or PATH; build it from Istio's module"
)
OFFLINE_ONLY_HERE = {
    "IST0101", "IST0102", "IST0110", "IST0111", "IST0112", "IST0118", "IST0123", "IST0125", "IST0127", "IST0137", "IST0144", "IST0145", "IST0150",
    "IST0162", "IST0173", "IST0174",
}  # fmt: skip
"""Codes for which istioctl wants a cluster: it has no pods and Services of manifests alone."""
PODS = ("tester", "reviews-1", "edge")


def istioctl(*arguments: str) -> str:
    assert ISTIOCTL is not None
    done = subprocess.run([ISTIOCTL, *arguments], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout or done.stderr


def refmesh(*arguments: str) -> str:
    return CliRunner().invoke(main, list(arguments)).output


def rows(text: str) -> list[str]:
    """Lines without padding: istioctl pads the last column, too."""
    return [re.sub(r"\s+", " ", line).strip() for line in text.strip("\n").splitlines()]


@pytest.fixture(scope="module")
def envoys_dump(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The config dump of the agreement scene's sidecar: a few hundred VirtualServices."""
    directory = tmp_path_factory.mktemp("scene")
    dump = directory / "dump.json"
    agreement.facts(directory, 300, 5, str(dump))
    return str(dump)


@pytest.mark.parametrize("part", ["cluster", "listener", "route"])
def test_a_table_of_envoys_own_dump_is_istioctls(envoys_dump: str, part: str) -> None:
    ours, theirs = refmesh("proxy-config", part, "-f", envoys_dump), istioctl("proxy-config", part, "-f", envoys_dump)
    assert rows(ours) == rows(theirs)
    assert len(rows(ours)) > 8


@pytest.mark.parametrize("pod", PODS)
@pytest.mark.parametrize("part", ["cluster", "listener", "route"])
def test_a_table_of_a_dump_made_of_manifests_is_istioctls(tmp_path: Path, pod: str, part: str) -> None:
    dump = tmp_path / "dump.json"
    manifests = str(HERE / "many.yaml")
    dump.write_text(refmesh("proxy-config", "all", "-f", manifests, "--for", f"shop/{pod}", "-o", "json"))
    ours, theirs = (rows(show("proxy-config", part, "-f", str(dump))) for show in (refmesh, istioctl))
    if part == "listener":
        # Where a TCP chain has several clusters istioctl shows none; we show them all.
        theirs = [line for line in theirs if not line.endswith("Cluster:")]
        ours = [line for line in ours if ", outbound|" not in line]
    # istioctl leaves the order of route configurations that are no port numbers to the sort's whim.
    assert sorted(ours) == sorted(theirs)


def test_the_certificates_of_a_dump_are_shown_as_istioctl_shows_them(tmp_path: Path) -> None:
    dump = tmp_path / "dump.json"
    dump.write_text(json.dumps({"configs": [secrets(tmp_path)]}))
    ours, theirs = (rows(show("proxy-config", "secret", "-f", str(dump))) for show in (refmesh, istioctl))
    assert ours == theirs
    assert len(ours) == 3


def secrets(directory: Path) -> dict[str, Any]:
    import base64

    argv = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-set_serial", "0x0a1b", "-subj", "/O=x",
        "-addext", "subjectAltName=URI:spiffe://cluster.local/ns/shop/sa/a", "-keyout", str(directory / "key"), "-out", str(directory / "pem"),
    ]  # fmt: skip
    subprocess.run(argv, check=True, capture_output=True)
    data = {"inline_bytes": base64.b64encode((directory / "pem").read_bytes()).decode()}
    kind = {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"}
    found = [
        {"name": "default", "secret": {**kind, "name": "default", "tls_certificate": {"certificate_chain": data}}},
        {"name": "ROOTCA", "secret": {**kind, "name": "ROOTCA", "validation_context": {"trusted_ca": data}}},
    ]
    return {"@type": "type.googleapis.com/envoy.admin.v3.SecretsConfigDump", "dynamic_active_secrets": found}


@pytest.mark.parametrize("code", ["", *sorted(set(CASES) - OFFLINE_ONLY_HERE)])
def test_istioctl_finds_the_same_in_manifests(tmp_path: Path, code: str) -> None:
    path = tmp_path / "mesh.yaml"
    found = [{**item, "metadata": {"namespace": "default", **item["metadata"]}} for item in CASES.get(code, SOUND)]
    path.write_text(yaml.safe_dump_all(found))
    ours = json.loads(CliRunner().invoke(main, ["analyze", str(path), "-o", "json"]).stdout)
    theirs = json.loads(re.sub("(?m)^✔.*", "", istioctl("analyze", "--use-kube=false", str(path), "-o", "json")))
    assert {(item["code"], item["origin"]) for item in ours} == {(item["code"], item["origin"]) for item in theirs}

"""Canary secrets: planted wherever a run meets secrets, looked for in everything that the run writes."""

from __future__ import annotations

import base64
import json
import re
import stat

import pytest

from pytest_mesh.report.command import command

JWT = "{}.{}.canary-signature-5f1c".format(
    *(
        base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=")
        for one in ({"alg": "RS256"}, {"sub": "system:serviceaccount:shop:canary"})
    )
)
PEM = "-----BEGIN PRIVATE KEY-----\nMIGHcanary0of0the0key0AgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n"
PEM64 = base64.b64encode(PEM.encode()).decode()
KUBECONFIG = f"""
users:
- name: canary
  user:
    client-key-data: {PEM64}
    token: canary-kubeconfig-token-77aa
    password: canary-kubeconfig-password-31
"""
CANARIES = {
    "a Secret's text": "canary-in-string-data-0b7e",
    "a Secret's data": "canary-in-data-93cd",
    "a Secret's data, as it is stored": base64.b64encode(b"canary-in-data-93cd").decode(),
    "a private key": "MIGHcanary0of0the0key0AgEAMBMGByqGSM49",
    "a private key in base64": PEM64[10:],
    "a bearer token": "canary-bearer-token-4242",
    "a token of a kubeconfig": "canary-kubeconfig-token-77aa",
    "a password of a kubeconfig": "canary-kubeconfig-password-31",
    "a ServiceAccount's token": JWT.rpartition(".")[0],
    "the signature of that token": "canary-signature-5f1c",
}
SUITE = """
from dataclasses import dataclass

@dataclass
class Feature:
    id: str
    profile: str = "ISTIO-ROUTING"
    level: str = "core"
    title: str = ""

def pytest_mesh_features(config):
    return [Feature("One")]
"""
TEST = f"""
import logging
import pytest

JWT = {JWT!r}
PEM = {PEM!r}
KUBECONFIG = {KUBECONFIG!r}


@pytest.mark.mesh_feature("One")
@pytest.mark.parametrize("ends", ["fails", "passes", "breaks", "is left out"])
def test_canaries(mesh_namespace, mesh_evidence, ends):
    mesh_namespace.stand_in("reviews")
    mesh_namespace.apply([
        {{"apiVersion": "v1", "kind": "Secret", "metadata": {{"name": "a"}}, "stringData": {{"word": "canary-in-string-data-0b7e"}}}},
        {{"apiVersion": "v1", "kind": "Secret", "metadata": {{"name": "b"}}, "data": {{"word": {CANARIES["a Secret's data, as it is stored"]!r}}}}},
        {{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "c"}}, "data": {{"key.pem": PEM, "kubeconfig": KUBECONFIG}}}},
    ])
    client = mesh_namespace.client("tester")
    headers = {{"authorization": "Bearer canary-bearer-token-4242", "cookie": "canary-bearer-token-4242"}}
    answer = client.get("http://reviews", headers=headers)
    mesh_evidence(asked="Authorization: Bearer canary-bearer-token-4242", file=KUBECONFIG, key=PEM, token=JWT,
                  seen="canary-in-string-data-0b7e", nested={{"token": "canary-kubeconfig-token-77aa"}})
    said = f"{{JWT}} {{PEM}} {{KUBECONFIG}} canary-in-string-data-0b7e canary-in-data-93cd Bearer canary-bearer-token-4242"
    print("printed:", said)
    logging.getLogger("shop").warning("logged: %s", said)
    if ends == "fails":
        assert not answer.echo.headers, said
    if ends == "breaks":
        raise RuntimeError(said)
    if ends == "is left out":
        pytest.skip(said)
"""


@pytest.fixture
def ran(project, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "out" / "summary.md"))
    with (project.path / "conftest.py").open("a") as file:
        file.write(SUITE)
    project.pytester.makepyfile(TEST)
    forms = {"report": "r.yaml", "report-html": "r.html", "report-ndjson": "r.ndjson"}
    options = [f"--mesh-{option}=out/{name}" for option, name in forms.items()]
    # -l shows local variables; a log file and junit's output are pytest's own ways to write what tests say.
    result = project.run(
        *options, "--junitxml=out/junit.xml", "-ojunit_logging=all", "-l", "-v", "-rA", "--mesh-waits=5"
    )
    assert result.ret == 1, result.stdout.str()
    result.assert_outcomes(passed=1, failed=2, skipped=1)
    return result


def planted(text):
    return [name for name, value in CANARIES.items() if value in text]


def test_no_canary_is_in_anything_that_a_run_writes(project, ran):
    written = [path for path in (project.path / "out").iterdir() if path.is_file()]
    evidence = [path for path in (project.path / ".mesh").rglob("*") if path.is_file()]
    assert {path.name for path in written} == {"r.yaml", "r.html", "r.ndjson", "junit.xml", "summary.md"}
    assert {"failure.txt", "applied.yaml", "transcript.jsonl", "pods.yaml", "events.txt"} <= {
        one.name for one in evidence
    }

    found = {str(path.relative_to(project.path)): planted(path.read_text()) for path in [*written, *evidence]}

    assert {name: canaries for name, canaries in found.items() if canaries} == {}
    assert planted(ran.stdout.str() + ran.stderr.str()) == []
    assert ran.stdout.str().count("[redacted]") > 10  # what was said is there, without the secrets
    assert {stat.S_IMODE(path.stat().st_mode) for path in evidence} == {0o600}
    assert all(stat.S_IMODE(one.stat().st_mode) == 0o700 for one in (project.path / ".mesh/artifacts").iterdir())


def test_no_canary_comes_back_by_the_commands_that_read_a_report(project, ran):
    from click.testing import CliRunner

    report = str(project.path / "out" / "r.yaml")
    said = [
        CliRunner().invoke(command, arguments).output
        for arguments in (["show", report], ["diff", report, report], ["html", report])
    ]

    assert planted("".join(said) + (project.path / "out" / "r.html").read_text()) == []


def test_every_canary_is_one_that_would_be_found(project):
    """The same test without the plugin's care: pytest alone shows each of them."""
    text = TEST.replace('@pytest.mark.mesh_feature("One")', "").replace("mesh_namespace, mesh_evidence, ends", "ends")
    text = re.sub(r"    mesh_namespace\.stand_in.*?    said", "    said", text, flags=re.DOTALL).replace(
        "answer.echo.headers", "said"
    )
    project.pytester.makepyfile(text)

    found = planted(project.run("-rA").stdout.str())

    stored = {"a Secret's data, as it is stored", "a private key in base64"}
    assert set(found) >= set(CANARIES) - stored

"""What is missing is one line that says what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_mesh.backends import KindBackend
from pytest_mesh.clusters.kind.programs import last_words
from pytest_mesh.clusters.kind.requirements import Facts, lack, minor_of
from pytest_mesh.failures import Infrastructure
from pytest_mesh.hooks import ClusterRequest

GOOD = Facts(docker=True, kind=True, cgroup="2")


@pytest.mark.parametrize(
    ("facts", "image", "words"),
    [
        (GOOD, "", ""),
        (replace(GOOD, docker=False), "", "install Docker"),
        (replace(GOOD, daemon="permission denied"), "", "does not answer (permission denied): start it"),
        (replace(GOOD, kind=False), "", "kind is not on PATH: install it"),
        (replace(GOOD, cgroup="1"), "", "kind's own node image refuses"),
        (replace(GOOD, cgroup="1"), "kindest/node:v1.35.0@sha256:0", "v1.35.0@sha256:0 refuses"),
        (replace(GOOD, cgroup="1"), "kindest/node:v1.34.4", ""),
        (replace(GOOD, cgroup="1"), "mine:latest", ""),
    ],
)
def test_the_first_lack_is_named_with_what_to_do(facts, image, words):
    line = lack(facts, image)

    assert words in line if words else not line
    assert "\n" not in line


@pytest.mark.parametrize(("image", "minor"), [("a/b:v1.34.4-local", 34), ("a:latest", None), ("", None)])
def test_the_minor_version_is_read_from_the_tag(image, minor):
    assert minor_of(image) == minor


@pytest.mark.parametrize("absent", ["docker", "kind"])
def test_an_absent_program_is_the_environments_fault(programs, monkeypatch, absent):
    monkeypatch.setenv("PATH", str(programs.directory))
    (programs.directory / absent).unlink()

    with pytest.raises(Infrastructure, match=f"--mesh-cluster=kind: {absent} is not on PATH: install"):
        KindBackend().find(ClusterRequest(name="mesh", lifeline_pid=None, progress=lambda _: None))


def test_what_docker_said_stands_beside_kinds_own_error():
    said = last_words(
        "Creating cluster\n"
        f'ERROR: failed to create cluster: command "docker run --name x {"--label y " * 200}" failed with error: exit status 125\n'
        "Command Output: 0a1b\n"
        "docker: Error response from daemon: unable to apply caps: operation not permitted\n"
        "Stack Trace: \nsigs.k8s.io/kind/pkg/errors.WithStack\n"
    )

    assert said.startswith("ERROR: failed to create cluster: command")
    assert "exit status 125 | Command Output: 0a1b | docker: Error response from daemon: unable to apply caps" in said
    assert "Stack" not in said
    assert len(said) < 900

"""What is missing is one line that says what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_mesh.backends import KindBackend
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

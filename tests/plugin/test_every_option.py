"""Every option reaches what obeys it, and every exit code has a run that ends with it."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_mesh.contracts import Implementation
from pytest_mesh.failures import Infrastructure
from pytest_mesh.options import ROWS, resolve
from pytest_mesh.session import MeshSession
from pytest_mesh.settings import MeshSettings

HERE = Path(__file__).parent
TESTED = {
    "cluster": "test_options.py::test_a_value_that_cannot_be_is_one_line_and_exit_code_4",
    "implementation": "test_options.py::test_an_existing_cluster_wants_the_implementation_named",
    "report": "test_gating.py::test_one_run_writes_every_form_of_the_report",
    "report-html": "test_gating.py::test_one_run_writes_every_form_of_the_report",
    "report-ndjson": "test_gating.py::test_one_run_writes_every_form_of_the_report",
    "expected-failures": "test_gating.py::test_a_file_of_expected_failures_that_cannot_be_used_ends_with_4",
    "shard": "test_gating.py::test_shards_merge_into_the_whole_run",
    "waits": "test_live_line.py::test_a_long_phase_has_a_line_on_a_terminal_and_leaves_none",
    "keep": "test_runs.py::test_a_kept_cluster_is_named_with_the_way_to_use_and_to_remove_it",
    "fresh": "test_every_option.py::test_a_backend_is_told_what_was_asked_for",
    "cluster-name": "test_every_option.py::test_a_backend_is_told_what_was_asked_for",
    "cluster-per-worker": "test_every_option.py::test_a_worker_asks_for_a_cluster_of_its_own",
    "kind-config": "test_every_option.py::test_a_backend_is_told_what_was_asked_for",
    "kind-image": "test_every_option.py::test_a_backend_is_told_what_was_asked_for",
    "artifacts": "test_every_option.py::test_a_failures_evidence_lies_where_it_was_asked_for",
    "kubeconfig": "test_every_option.py::test_a_backend_is_told_what_was_asked_for",
    "context": "test_every_option.py::test_a_backend_is_told_what_was_asked_for",
    "install": "test_existing_installs.py::test_what_is_in_the_way_is_named_and_nothing_is_installed",
    "image-registry": "test_every_option.py::test_a_backend_is_told_what_was_asked_for",
    "image-tag": "test_every_option.py::test_a_backend_is_told_what_was_asked_for",
    "image-pull-secret": "test_every_option.py::test_a_backend_is_told_what_was_asked_for",
    "differential": "test_differential_runs.py::test_meshes_are_compared_alone_or_not_at_all",
    "differential-cells": "test_differential_runs.py::test_an_option_that_cannot_be_is_a_usage_error",
    "known-differences": "test_differential_runs.py::test_an_option_that_cannot_be_is_a_usage_error",
    "split-delta": "test_every_option.py::test_the_error_to_be_found_and_the_seed_are_the_settings",
    "split-alpha": "test_every_option.py::test_the_error_to_be_found_and_the_seed_are_the_settings",
    "split-beta": "test_every_option.py::test_the_error_to_be_found_and_the_seed_are_the_settings",
    "split-cap": "test_every_option.py::test_the_error_to_be_found_and_the_seed_are_the_settings",
    "seed": "test_every_option.py::test_the_error_to_be_found_and_the_seed_are_the_settings",
}
RECORDER = """

class Recorder:
    def find(self, request):
        (HERE / "found").write_text("")
    def start(self, request):
        from pytest_mesh.failures import Infrastructure
        (HERE / "request.txt").write_text(repr(request))
        raise Infrastructure("recorded")
    def attach(self, handle): raise NotImplementedError

def pytest_mesh_backends(config):
    return {"recorder": Recorder(), "fake": fake_cluster.FakeBackend(HERE)}
"""


def test_every_option_has_a_test_that_gives_it():
    """The table above: an option that is added stands in it, or this fails."""
    assert set(TESTED) == {row.name for row in ROWS}
    for name, test in TESTED.items():
        file, _, function = test.partition("::")
        text = (HERE / file).read_text()
        (found,) = [one for one in ast.parse(text).body if isinstance(one, ast.FunctionDef) and one.name == function]
        first = min([found.lineno, *(one.lineno for one in found.decorator_list)])
        body = "\n".join(text.splitlines()[first - 1 : found.end_lineno])
        assert f"--mesh-{name}" in body, f"{test} does not give --mesh-{name}"


@pytest.fixture
def recorder(project):
    with (project.path / "conftest.py").open("a") as file:
        file.write(RECORDER)
    project.pytester.makepyfile("def test_it(mesh_cluster): pass")
    return project


def test_a_backend_is_told_what_was_asked_for(recorder):
    (recorder.path / "kind.yaml").write_text("")

    result = recorder.run(
        "--mesh-cluster=recorder",
        "--mesh-cluster-name=shop-1",
        "--mesh-kind-config=kind.yaml",
        "--mesh-kind-image=node:1",
        "--mesh-kubeconfig=k.conf",
        "--mesh-context=prod",
        "--mesh-image-registry=registry.example/team",
        "--mesh-image-tag=t1",
        "--mesh-image-pull-secret=ns/secret",
        "--mesh-fresh",
    )

    assert result.ret == 10
    told = (recorder.path / "request.txt").read_text()
    for part in (
        "name='shop-1'",
        "cluster_name='shop-1'",
        f"kind_config=PosixPath('{recorder.path}/kind.yaml')",
        "kind_image='node:1'",
        "kubeconfig=PosixPath('k.conf')",
        "context='prod'",
        "context_told=True",
        "image_registry='registry.example/team'",
        "image_tag='t1'",
        "image_pull_secret='ns/secret'",
    ):
        assert part in told
    assert not (recorder.path / "found").exists()  # --mesh-fresh looks for none


def test_a_cluster_that_is_up_is_looked_for_unless_a_new_one_is_asked_for(recorder):
    recorder.run("--mesh-cluster=recorder")

    assert (recorder.path / "found").exists()


class Asked:
    """A backend that keeps what it was told."""

    def find(self, request):
        self.looked_for = request

    def start(self, request):
        self.wanted = request
        raise Infrastructure("recorded")


@pytest.mark.parametrize(("given", "looked_for"), [("", "mesh-gw1"), ("shop", "shop-gw1")])
def test_a_worker_asks_for_a_cluster_of_its_own(pytester, given, looked_for):
    config = pytester.parseconfig("--mesh-cluster=asked", "--mesh-cluster-per-worker", f"--mesh-cluster-name={given}")
    asked = Asked()
    session = MeshSession(
        resolve(config, {}), {"asked": asked}, Implementation(name="one"), print,
        shared=pytester.path, controller_pid=7, worker="gw1",
    )  # fmt: skip
    with pytest.raises(Infrastructure, match="recorded"):
        session.cluster()
    assert (asked.looked_for.cluster_name, asked.wanted.cluster_name) == (looked_for, given and "shop-gw1")
    assert asked.wanted.name == ("shop-gw1" if given else "pytest-7-gw1")


@pytest.mark.parametrize("backend", ["kind", "existing"])
def test_a_backend_whose_workers_share_its_cluster_says_so(pytester, backend):
    config = pytester.parseconfig(f"--mesh-cluster={backend}", "--mesh-cluster-per-worker")
    with pytest.raises(pytest.UsageError, match=f"not on --mesh-cluster={backend}: (its|all) workers"):
        resolve(config, {})


def test_a_failures_evidence_lies_where_it_was_asked_for(project):
    project.pytester.makepyfile("def test_it(mesh_namespace): assert False")

    project.run("--mesh-artifacts=kept/here")

    assert list((project.path / "kept/here").glob("test_*/failure.txt"))
    assert not (project.path / ".mesh").exists()


def test_the_error_to_be_found_and_the_seed_are_the_settings(project):
    project.pytester.makepyfile(
        "def test_it(mesh_settings):\n"
        "    one = mesh_settings\n"
        "    assert (one.split_delta, one.alpha, one.beta, one.split_cap, one.seed) == (2.5, 1e-9, 0.01, 900, 7)\n"
    )
    shares = ("--mesh-split-delta=2.5", "--mesh-split-alpha=1e-9", "--mesh-split-beta=0.01", "--mesh-split-cap=900")

    assert project.run(*shares, "--mesh-seed=7").ret == 0


def test_the_suite_of_this_project_keeps_what_was_given():
    from mesh_conformance import conftest

    given = MeshSettings(split_delta=2.5, alpha=1e-9, beta=0.01, split_cap=900, seed=7)

    assert conftest.mesh_settings._fixture_function(given) == replace(given, mark_routes=True)


def test_what_nobody_gave_of_a_share_is_as_the_test_has_it_by_itself(pytester):
    given = resolve(pytester.parseconfig(), {"PYTEST_MESH_CLUSTER": "local"})
    found = (given.split_delta, given.split_alpha, given.split_beta, given.split_cap)

    bare = MeshSettings()
    assert found == (bare.split_delta, bare.alpha, bare.beta, bare.split_cap)


@pytest.mark.parametrize(
    ("body", "arguments", "code"),
    [
        ("pass", [], 0),
        ("assert False", [], 1),
        ("pass", ["--mesh-seed=x"], 4),
        ("pass", ["-k", "nothing"], 5),
        ("from pytest_mesh.failures import Inconclusive; raise Inconclusive('half-way')", [], 10),
        ("from pytest_mesh.failures import Infrastructure; raise Infrastructure('no disk')", [], 10),
    ],
)
def test_a_run_ends_with_the_code_of_the_table(project, body, arguments, code):
    """11 and 3: test_gating.py and below."""
    project.pytester.makepyfile(f"def test_it(mesh_evidence): {body}")

    assert project.run(*arguments).ret == code


def test_a_run_that_is_stopped_ends_with_2(project, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    project.pytester.makepyfile("def test_it(mesh_evidence): raise KeyboardInterrupt")

    assert project.pytester.inline_run("-p", "pytest_mesh.plugin", no_reraise_ctrlc=True).ret == 2


def test_an_internal_error_ends_with_3_and_writes_no_good_report(project):
    project.pytester.makepyfile("def test_it(mesh_evidence): pass")
    with (project.path / "conftest.py").open("a") as file:
        file.write("\n\ndef pytest_runtest_logreport(report): raise ValueError('a plugin breaks')\n")

    result = project.run("--mesh-report=r.yaml")

    assert result.ret == 3

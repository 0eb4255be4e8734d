"""Options: flag over environment over ini over default, the header that says so, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from fnmatch import fnmatch

import pytest

from pytest_mesh.options import resolve

HEAVY = "kubernetes requests hypothesis grpc yaml aiohttp cryptography urllib3"


def test_a_flag_wins_over_the_environment_and_that_over_ini(project, monkeypatch):
    project.pytester.makepyfile("def test_plain(): pass")
    monkeypatch.setenv("PYTEST_MESH_KEEP", "on-failure")
    monkeypatch.setenv("PYTEST_MESH_SEED", "3")

    result = project.run("--mesh-seed=4")

    result.stdout.fnmatch_lines(
        ["mesh: cluster=fake (ini), implementation=fake (ini), keep=on-failure (env), seed=4 (flag)"]
    )
    assert project.events == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--mesh-cluster-name=No_"], "*--mesh-cluster-name: 'No_': want a-z, 0-9 and - (not at the ends), at most 40"),
        (["--mesh-kind-config=kind.yaml"], "*--mesh-kind-config: no file kind.yaml"),
        (
            ["--mesh-cluster=locl"],
            "*--mesh-cluster: unknown 'locl'; choose from: existing, fake, kind, local; did you mean 'local'?",
        ),
        (
            ["--mesh-implementation=referense"],
            (
                "*--mesh-implementation: unknown 'referense'; choose from: fake, istio, none, reference; "
                "did you mean 'reference'?; or the path of an implementation file (.toml)"
            ),
        ),
        (["--mesh-implementation=my.toml"], "*--mesh-implementation: no file my.toml"),
        (["--mesh-keep=sometimes"], "*--mesh-keep: unknown 'sometimes'; choose from: always, never, on-failure"),
        (["--mesh-split-delta=0"], "*--mesh-split-delta: '0' is no number of percentage points between 0 and 100"),
        (["--mesh-split-alpha=1"], "*--mesh-split-alpha: '1' is no probability above 0 and below 1"),
        (["--mesh-split-beta=nan"], "*--mesh-split-beta: 'nan' is no probability above 0 and below 1"),
        (["--mesh-split-cap=-1"], "*--mesh-split-cap: '-1' is no whole number from 0 on"),
        (["--mesh-seed=x"], "*--mesh-seed: 'x' is no whole number"),
    ],
)
def test_a_value_that_cannot_be_is_one_line_and_exit_code_4(pytester, project, arguments, line):
    result = pytester.runpytest_inprocess("-p", "no:mesh", "-p", "pytest_mesh.plugin", *arguments)

    assert result.ret == 4
    result.stderr.fnmatch_lines([line])


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("PYTEST_MESH_SEED", "x", "--mesh-seed (from PYTEST_MESH_SEED): 'x' is no whole number"),
        ("PYTEST_MESH_SPLIT_CAP", "", "--mesh-split-cap (from PYTEST_MESH_SPLIT_CAP): '' is no whole number from 0 on"),
        ("PYTEST_MESH_FRESH", "maybe", "--mesh-fresh (from PYTEST_MESH_FRESH): 'maybe' is neither true nor false"),
        ("PYTEST_MESH_SHARD", "4", "--mesh-shard (from PYTEST_MESH_SHARD): '4': want I/N, such as 1/4: *"),
        ("PYTEST_MESH_KIND_CONFIG", "k", "--mesh-kind-config (from PYTEST_MESH_KIND_CONFIG): no file k"),
        ("PYTEST_MESH_KEEP", "x", "--mesh-keep (from PYTEST_MESH_KEEP): unknown 'x'; choose from: *"),
    ],
)
def test_a_value_of_the_environment_is_told_with_its_variable(pytester, variable, value, line):
    with pytest.raises(pytest.UsageError) as caught:
        resolve(pytester.parseconfig(), {variable: value})

    assert fnmatch(str(caught.value), line)


def test_a_value_of_the_ini_file_is_told_with_its_name(pytester):
    pytester.makeini("[pytest]\nmesh_waits = many\n")

    with pytest.raises(pytest.UsageError) as caught:
        resolve(pytester.parseconfig(), {})

    assert str(caught.value) == "--mesh-waits (from ini mesh_waits): 'many' is no whole number from 0 on"


def test_a_name_of_the_environment_is_told_with_its_variable(project, monkeypatch):
    monkeypatch.setenv("PYTEST_MESH_IMPLEMENTATION", "referense")

    result = project.run()

    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--mesh-implementation (from PYTEST_MESH_IMPLEMENTATION): unknown 'referense'; *"])


def test_an_existing_cluster_wants_the_implementation_named(project):
    (project.path / "pytest.ini").write_text("[pytest]\n")
    (project.path / "tox.ini").unlink()

    result = project.run("--mesh-cluster=existing")

    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--mesh-cluster=existing: say which mesh is there by --mesh-implementation*"])


def test_importing_the_plugin_imports_nothing_heavy():
    program = f"import sys, pytest_mesh.plugin; print(sorted(set({HEAVY.split()!r}) & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_collecting_starts_nothing_and_imports_nothing_heavy(project):
    project.pytester.makepyfile(
        """
        import sys
        LOADED = set(sys.modules)
        def test_mesh(mesh_namespace): pass
        """
    )
    with (project.path / "conftest.py").open("a") as file:
        file.write(
            "\n\ndef pytest_unconfigure(config):\n"
            f"    print('heavy:', sorted(set({HEAVY.split()!r}) & set(sys.modules)))\n"
        )

    result = project.run_apart("--collect-only", "-q", "-p", "no:hypothesispytest", "-p", "no:pytest-kind")

    assert result.ret == 0
    result.stdout.fnmatch_lines(["heavy: []"])
    assert project.events == []


def test_help_and_markers_name_what_there_is(project):
    result = project.run("--help")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["service mesh:", "*--mesh-cluster=BACKEND*", "*--mesh-keep*"])

    result = project.run("--markers")
    result.stdout.fnmatch_lines(
        ["@pytest.mark.mesh_namespace(name)*", "@pytest.mark.mesh_exclusive*", "*mesh_feature*"]
    )


def test_a_project_without_mesh_tests_starts_nothing_and_prints_no_table(project):
    project.pytester.makepyfile("def test_plain(): pass")

    result = project.run()

    assert result.ret == 0
    assert project.events == []
    assert "features supported" not in result.stdout.str()

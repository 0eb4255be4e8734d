"""Images: what is in them, when they are built and when they are loaded."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

import pytest

from pytest_mesh.clusters.kind import images, logs, packages, recipes
from pytest_mesh.clusters.kind.cluster import KindCluster
from pytest_mesh.clusters.kind.programs import KindError
from pytest_mesh.contracts import WORKLOAD_IMAGE, Image
from pytest_mesh.implementations.running import workload_image


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "opt" / "agent"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def context_of(recipe):
    stream = io.BytesIO()
    recipes.write_context(stream, recipe.tail, recipe.tree)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as archive:
        members = {member.name: member for member in archive}
        return members, archive.extractfile("Dockerfile").read().decode()


def test_the_workloads_image_holds_its_package_and_those_of_its_protocols_only():
    recipe = recipes.recipe(WORKLOAD_IMAGE, workload_image())
    members, dockerfile = context_of(recipe)

    assert "tree/opt/mesh/python/pytest_mesh/workloads/__main__.py" in members
    assert not [name for name in members if name.endswith(".dist-info/METADATA")]
    tops = {name.split("/")[3] for name in recipe.below.files if name.endswith(".py")}
    assert tops == {"h2", "hpack", "hyperframe", "wsproto", "h11"}
    assert "MESH_PACKAGES" not in dockerfile
    assert dockerfile.startswith(recipes.DOCKERFILE.read_text())
    assert 'ENTRYPOINT ["python3", "-S", "-m", "pytest_mesh.workloads"]' in dockerfile
    assert "PYTHONPATH=/opt/mesh/python" in dockerfile
    assert str(Path.cwd()) not in dockerfile


def test_a_python_program_gets_what_it_requires_below_what_changes():
    image = Image(entrypoint=(sys.executable, "-m", "click"), env={"PATH": f"{Path(sys.executable).parent}:/bin"})
    recipe = recipes.recipe("x", image)

    assert "opt/mesh/python/click/core.py" in recipe.tree.files
    assert [name for name in recipe.below.files if name.endswith("METADATA")]
    assert 'ENV PATH="/bin"' in recipe.tail


def test_the_reference_gets_envoy_and_nothing_of_pytest_kind():
    module = packages.module("mesh_reference", alone=False)

    assert any(name.endswith("envoy/_bin/envoy") for name in module.required)
    assert not any(name.startswith(("pytest_kind/", "pykube/")) for name in module.required)
    assert "mesh_reference.cli" in module.scripts["refmesh"]


def test_another_program_is_copied_with_what_it_reads_at_the_same_paths(program):
    template = program.with_name("template.json")
    template.write_text("{}")
    image = Image(entrypoint=(str(program),), readable=(str(template),), env={"A": 'q"$B'}, user="1337:1337")
    members, dockerfile = context_of(recipes.recipe("x", image))

    assert members[f"tree{program}"].mode == 0o755
    assert members[f"tree{template}"].mode == 0o644
    assert members["tree/usr/local/bin/agent"].linkname == str(program)
    assert 'ENV A="q\\"\\$B"' in dockerfile
    assert "USER 1337:1337" in dockerfile


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (Image(root="/srv/root"), "is for --mesh-cluster=local"),
        (Image(entrypoint=("/nowhere/agent",)), "/nowhere/agent"),
        (Image(entrypoint=(sys.executable, "agent.py")), "Python without -m MODULE"),
        (Image(entrypoint=(sys.executable, "-m", "no_such_module")), "no such package is installed here"),
    ],
)
def test_a_row_that_cannot_be_an_image_is_refused(image, words):
    with pytest.raises(KindError, match=words):
        recipes.recipe("x", image)


def test_content_and_mode_tell_a_tree_from_another_and_caches_do_not(program):
    tree = recipes.Tree(files={"opt/agent": program})
    first = tree.digest()
    cache = program.with_name("agent.cpython-311.pyc")
    cache.touch()

    assert recipes.Tree(files={"opt/agent": program, "opt/agent.pyc": cache}).digest() == first
    program.chmod(0o644)
    second = tree.digest()
    program.write_text("#!/bin/bash\n")
    assert len({first, second, tree.digest()}) == 3


def test_an_image_is_built_once_per_content_and_loaded_once_per_cluster(programs, program, lines):
    cluster = KindCluster.start("one")
    table = {"mesh/agent": Image(entrypoint=(str(program),))}

    cluster.add_images(table, lines.append)
    cluster.add_images(table, lines.append)

    assert len(programs.called("docker build")) == 1
    assert programs.called("kind load") == ["kind load docker-image --name one mesh/agent"]
    assert [line for line in lines if "building image mesh/agent on base:1" in line]
    before = cluster.image_ids()

    program.write_text("#!/bin/bash\n")
    cluster.add_images(table, lines.append)

    assert len(programs.called("docker build")) == 2
    assert len(programs.called("kind load")) == 2
    assert cluster.image_ids() != before
    KindCluster.start("two").add_images(table, lines.append)
    assert len(programs.called("docker build")) == 2
    assert len(programs.called("kind load")) == 3


def test_the_base_is_named_by_the_environment_or_is_this_pythons(monkeypatch):
    monkeypatch.setenv("MESH_IMAGE_BASE", "mine:1")
    assert images.base_image() == "mine:1"
    monkeypatch.delenv("MESH_IMAGE_BASE")
    assert images.base_image() == f"python:{sys.version_info[0]}.{sys.version_info[1]}-slim"


def test_of_kinds_logs_the_end_is_kept_and_binary_ones_are_not(tmp_path):
    node = tmp_path / "export" / "one-control-plane"
    (node / "journal").mkdir(parents=True)
    (node / "journal" / "system.journal").write_bytes(b"\0")
    (node / "kubelet.log").write_text("first\n" + "x" * logs.KEPT_BYTES + "\nlast\n")

    logs.copy(tmp_path / "export", tmp_path / "kept")

    (kept,) = [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert kept.name == "kubelet.log"
    assert kept.read_text() == "last\n"
    assert kept.stat().st_mode & 0o777 == 0o600

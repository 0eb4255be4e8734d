"""What the fixtures' members give beyond the canary, on the fake cluster with real workloads."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "fixtures.md"


def test_a_document_that_must_be_refused_is_judged_by_its_reason(project):
    project.pytester.makepyfile(
        """
        import pytest
        from pytest_mesh.failures import MeshFailure

        BAD = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "x"},
               "spec": {"hosts": []}}
        GOOD = {**BAD, "spec": {"hosts": ["one"], "http": []}}

        def test_it(mesh_namespace):
            assert "spec.hosts: must not be empty" in mesh_namespace.assert_refused(BAD, "spec.hosts", "empty")
            with pytest.raises(MeshFailure, match=r"for a reason that does not mention \\['spec.http'\\]"):
                mesh_namespace.assert_refused(BAD, "spec.http")
            with pytest.raises(MeshFailure, match="VirtualService x: was taken, a refusal was wanted"):
                mesh_namespace.assert_refused(GOOD, "spec.hosts")
        """
    )

    assert project.run().ret == 0


def test_objects_pods_and_logs_can_be_read_and_what_is_absent_fails(project):
    project.pytester.makepyfile(
        """
        import pytest
        from pytest_mesh.failures import MeshFailure, NotConverged

        def test_it(mesh_namespace):
            mesh_namespace.stand_in("reviews", versions=["v1", "v2"])
            assert mesh_namespace.get("v1", "Service", "reviews")["metadata"]["name"] == "reviews"
            assert mesh_namespace.find("v1", "ConfigMap", "none") is None
            with pytest.raises(MeshFailure, match="ConfigMap .*/none is not there"):
                mesh_namespace.get("v1", "ConfigMap", "none")
            pod = mesh_namespace.pod("reviews", version="v2")
            assert pod["status"]["podIP"] and len(mesh_namespace.pods(app="reviews")) == 2
            with pytest.raises(MeshFailure, match="one Ready pod 'reviews' is wanted, there are: reviews-v1-0, rev"):
                mesh_namespace.pod("reviews")
            assert "a line of log" in mesh_namespace.logs(pod["metadata"]["name"])
            assert mesh_namespace.eventually(lambda: 7, "seven") == 7
            with pytest.raises(NotConverged, match=r"rain: not within 0.1 s \\(last: dry\\)"):
                mesh_namespace.eventually(lambda: pytest.fail("dry") if 0 else (_ for _ in ()).throw(
                    AssertionError("dry")), "rain", seconds=0.1)
        """
    )

    assert project.run().ret == 0


def test_a_client_outside_probes_and_traffic_runs_beside_the_test(project):
    project.pytester.makepyfile(
        """
        def test_it(mesh_namespace, mesh_outside, mesh_evidence):
            mesh_namespace.stand_in("reviews")
            client = mesh_namespace.client("tester")
            with client.traffic("http://reviews") as traffic:
                mesh_namespace.eventually(lambda: traffic.answered, "traffic")
            assert not traffic.failures and set(traffic.counts) == {"v1"}
            assert mesh_outside.name.startswith("outside-it-") and mesh_outside.name != mesh_namespace.name
            handshake = mesh_outside.client("stranger").probe("127.0.0.1", 1, timeout=1)
            assert handshake.chain == () and not handshake.admitted and "refused" in handshake.failure.lower()
            mesh_evidence(failure=handshake.failure)
        """
    )

    assert project.run().ret == 0


def test_a_check_that_needs_what_the_file_does_not_give_is_not_applicable(project):
    project.pytester.makepyfile(
        """
        def test_one(mesh): mesh.needs("kube_inject_command")
        def test_two(mesh_namespace): mesh_namespace.trust_bundle()
        def test_three(mesh_namespace): mesh_namespace.proxy("any")
        def test_four(mesh): mesh.needs("nothing")
        """
    )

    result = project.run("-rs")

    result.assert_outcomes(skipped=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*ValueError: 'nothing' is no key of an implementation",
            "*not applicable: implementation 'fake' names no kube_inject_command*",
        ]
    )


def test_what_a_failed_set_up_holds_is_saved_before_the_namespace_goes(project):
    project.pytester.makepyfile(
        """
        import pytest
        from pytest_mesh.record import Record

        @pytest.fixture(scope="module")
        def shop(mesh, mesh_settings):
            with mesh.namespace("shop", settings=mesh_settings, record=Record()) as namespace:
                namespace.stand_in("reviews")
                namespace.deploy({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "till"},
                    "spec": {"selector": {"matchLabels": {"app": "till"}}, "template": {
                        "metadata": {"labels": {"app": "till"}},
                        "spec": {"containers": [{"name": "till", "image": "registry.example/till:1"}]}}}})
                yield namespace

        def test_one(shop): pass
        def test_two(shop): pass
        """
    )

    result = project.run()

    assert result.ret == 1
    (directory,) = (project.path / ".mesh/artifacts").glob("test_*")
    assert "till-0" in (directory / "shop" / "pods.yaml").read_text()
    assert result.stdout.str().count(f"evidence is saved in {directory}") == 2


def test_the_page_of_the_fixtures_names_every_public_member():
    from pytest_mesh.fixtures import RunningMesh
    from pytest_mesh.namespace import MeshNamespace
    from pytest_mesh.traffic.background import Background
    from pytest_mesh.traffic.client import Client
    from pytest_mesh.traffic.proxies import Proxy
    from pytest_mesh.traffic.responses import Handshake, Response

    page = DOCUMENT.read_text()
    words = set(re.findall(r"[a-z_]+", page))

    for one in (RunningMesh, MeshNamespace, Client, Background, Proxy, Handshake, Response):
        members = {name for name in dir(one) if not name.startswith("_")} - {"running"}
        assert members <= words, f"{one.__name__}: {sorted(members - words)} are not on the page"


def test_each_fixture_of_the_page_exists_and_no_other(project):
    rows = re.findall(r"^\| `(mesh\w*)` \|", DOCUMENT.read_text(), re.MULTILINE)

    result = project.run("--fixtures")

    shown = re.findall(r"^(mesh\w*)", result.stdout.str(), re.MULTILINE)
    assert sorted(set(shown)) == sorted(rows)

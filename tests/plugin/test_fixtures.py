"""The public fixtures, as docs/fixtures.md shows them, on a fake cluster with real workloads."""

from __future__ import annotations

import re
import stat

CANARY = """
MANIFEST = '''
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route:
    - {destination: {host: reviews, subset: v1}, weight: 80}
    - {destination: {host: reviews, subset: v2}, weight: 20}
'''

def test_canary(mesh_namespace):
    mesh_namespace.stand_in("reviews", versions=["v1", "v2"])
    mesh_namespace.apply(MANIFEST)
    client = mesh_namespace.client("tester")
    client.assert_split("http://reviews", {"v1": 80, "v2": 20}, delta=5)
    response = client.get("http://reviews", headers={"x-version": "v2"})
    assert response.status == 200 and response.headers["Content-Type"] == "application/json"
    assert response.version in {"v1", "v2"} and response.pod.startswith("reviews-")
    assert ("x-version", "v2") in response.echo.headers
    assert response.peer.spiffe_id.endswith("/sa/tester")
"""


def test_the_canary_of_the_documentation_passes_and_leaves_nothing(project):
    project.pytester.makepyfile(CANARY)

    result = project.run("-v")

    result.assert_outcomes(passed=1)
    assert result.ret == 0
    assert project.events == ["start", "down"]
    result.stdout.fnmatch_lines(["mesh: cluster=fake (ini), implementation=fake (ini)", "*the fake is coming up*"])


def test_a_split_that_is_off_fails_with_shares_and_alpha(project, monkeypatch):
    monkeypatch.setenv("FAKE_SKEW", "12")
    project.pytester.makepyfile(CANARY)

    result = project.run()

    assert result.ret == 1
    result.stdout.re_match_lines(
        [r"E +pytest_mesh.failures.SplitFailure: http://reviews: v1 [567].*claimed 80 %.*e-value.*"]
    )


def test_a_failure_leaves_a_bundle_without_secrets_that_the_output_names(project):
    project.pytester.makepyfile(
        """
        def test_it(mesh_namespace):
            mesh_namespace.stand_in("reviews")
            mesh_namespace.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
                                  "stringData": {"key": "canary-of-the-secret"}})
            client = mesh_namespace.client("tester")
            assert client.get("http://reviews", headers={"authorization": "Bearer canary-of-the-token"}).version == "v9"
        """
    )

    result = project.run()

    assert result.ret == 1
    (directory,) = (project.path / ".mesh/artifacts").glob("test_*")
    assert re.search(rf"evidence of a failure: {directory}", result.stdout.str())
    files = [path for path in directory.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"failure.txt", "applied.yaml", "transcript.jsonl", "events.txt", "pods.yaml"} <= names
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    text = "".join(path.read_text() for path in files)
    assert "reviews-v1" in text
    assert "canary-of-the" not in text


def test_an_unknown_image_fails_at_once_and_names_stand_in(project):
    project.pytester.makepyfile(
        """
        def test_it(mesh_namespace):
            mesh_namespace.deploy({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"},
                "spec": {"selector": {"matchLabels": {"app": "shop"}}, "template": {
                    "metadata": {"labels": {"app": "shop"}},
                    "spec": {"containers": [{"name": "shop", "image": "registry.example/shop:1"}]}}}})
        """
    )

    result = project.run("--durations=1")

    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*shop-0 cannot start: shop: ErrImagePull: no image 'registry.example/shop:1' in the table",
            "*mesh_namespace.stand_in(name) runs an echo workload in its place",
            "*events of shop-0:",
            "*Warning Failed: no image*",
        ]
    )


def test_a_document_that_the_webhook_refuses_fails_with_its_message(project):
    project.pytester.makepyfile(
        """
        def test_it(mesh_namespace):
            mesh_namespace.apply({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
                                  "metadata": {"name": "bad"}, "spec": {"hosts": []}})
        """
    )

    result = project.run()

    assert result.ret == 1
    result.stdout.fnmatch_lines(["*Refused: VirtualService bad (data) is refused:*spec.hosts: must not be empty"])
    assert "/pytest_mesh/" not in result.stdout.str()


def test_a_manifest_is_found_beside_the_test_and_a_missing_one_is_named(project):
    below = project.path / "sub" / "manifests"
    below.mkdir(parents=True)
    (below / "sa.yaml").write_text("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: one}\n")
    (project.path / "sub" / "test_sub.py").write_text(
        "import pytest\n"
        "def test_it(mesh_namespace):\n"
        "    assert mesh_namespace.apply('manifests/sa.yaml')[0]['kind'] == 'ServiceAccount'\n"
        "    with pytest.raises(ValueError, match='manifests/none.yaml: no such file below'):\n"
        "        mesh_namespace.apply('manifests/none.yaml')\n"
    )

    assert project.run().ret == 0


def test_settings_are_changed_by_overriding_one_fixture(project):
    project.pytester.makepyfile(
        """
        from dataclasses import replace
        import pytest

        @pytest.fixture(scope="session")
        def mesh_settings(mesh_settings):
            return replace(mesh_settings, mark_routes=True, split_delta=9.0)

        def test_it(mesh_namespace):
            assert mesh_namespace.settings.split_delta == 9.0
            mesh_namespace.stand_in("reviews", versions=["v1"])
            client = mesh_namespace.client("tester")
            mesh_namespace.apply({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
                "metadata": {"name": "reviews"},
                "spec": {"hosts": ["reviews"],
                         "http": [{"route": [{"destination": {"host": "reviews", "subset": "v1"}}]}]}})
            assert client.get("http://reviews").headers["x-mesh-epoch"]
            assert mesh_namespace.record.evidence["gate"] == "marker"
        """
    )

    result = project.run()

    result.assert_outcomes(passed=1)


def test_a_svid_ttl_that_the_implementation_cannot_set_is_refused(project):
    project.pytester.makepyfile(
        """
        from dataclasses import replace
        import pytest

        @pytest.fixture(scope="session")
        def mesh_settings(mesh_settings):
            return replace(mesh_settings, svid_ttl="30s")

        def test_it(mesh_namespace):
            with pytest.raises(ValueError, match="names no proxy_metadata_annotation"):
                mesh_namespace.stand_in("reviews")
        """
    )

    assert project.run().ret == 0


def test_the_marker_fixes_the_name_of_the_namespace(project):
    project.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.mesh_namespace("prod")
        def test_it(mesh_namespace):
            assert mesh_namespace.name == "prod"

        def test_other(mesh_namespace):
            assert mesh_namespace.name.startswith("mesh-other-")
        """
    )

    assert project.run().ret == 0


def test_a_backend_without_snapshots_is_named_with_one_that_has_them(project):
    project.pytester.makepyfile("def test_it(mesh_state): pass")

    result = project.run()

    assert result.ret == 10
    result.stdout.fnmatch_lines(["*mesh_state: --mesh-cluster=fake keeps no snapshots; --mesh-cluster=local does*"])

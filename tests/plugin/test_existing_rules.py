"""The rules on somebody's cluster, one by one: contexts, rights, what may be changed, whose a namespace is."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from pytest_mesh import __version__
from pytest_mesh.clusters.existing import access, contexts, image_names, leavings, pull_secrets, rights
from pytest_mesh.clusters.existing.bounds import Bounds
from pytest_mesh.clusters.existing.leavings import BY, KEPT, PROCESS, Who
from pytest_mesh.failures import Infrastructure
from pytest_mesh.kube import KubeError
from pytest_mesh.lifetime import OWNER_LABEL, RUN_LABEL, made_namespace, remove
from pytest_mesh.liveness import Process

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ME = Who(run="mine", by="me")


class Cluster:
    """Answers what the rules ask of a cluster; writes down what is changed."""

    def __init__(self, *, denied=(), **objects):
        self.objects = objects
        self.denied = set(denied)
        self.changes = []
        self.tenancy = None

    def create(self, path, body):
        if path.endswith("selfsubjectreviews"):
            return {"status": {"userInfo": {"username": "me"}}}
        if path.endswith("selfsubjectaccessreviews"):
            asked = body["spec"]["resourceAttributes"]
            below = f"/{asked['subresource']}" if "subresource" in asked else ""
            return {"status": {"allowed": f"{asked['verb']} {asked['resource']}{below}" not in self.denied}}
        if path.endswith("selfsubjectrulesreviews"):
            return {"status": {"resourceRules": []}}
        self.changes.append(("POST", path))
        return body

    def find(self, path):
        if path in self.denied:
            raise KubeError(403, "Forbidden", "no", path)
        return self.objects.get(path)

    def list(self, path, **_):
        return [one for key, one in self.objects.items() if key.rpartition("/")[0] == path]

    def request(self, method, path, body=None):
        self.changes.append((method, path, body))


def kubeconfig(path, *names, current="", **user):
    config = {
        "current-context": current,
        "contexts": [{"name": one, "context": {"cluster": one, "user": "u"}} for one in names],
        "clusters": [
            {"name": one, "cluster": {"server": f"https://{one}", "certificate-authority": "ca.crt"}} for one in names
        ],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


# ------------------------------------------------------------ contexts


def test_the_current_context_is_used_and_written_down_alone(tmp_path):
    (tmp_path / "run").mkdir()
    given = kubeconfig(tmp_path / "config", "a", "b", current="b", tokenFile="t", exec={"command": "./login"})

    chosen = contexts.choose(given, "", told=False, environ={})
    path = contexts.write(chosen, tmp_path / "run")

    assert (chosen.context, chosen.server) == ("b", "https://b")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = yaml.safe_load(path.read_text())
    assert [one["name"] for one in (*written["contexts"], *written["clusters"])] == ["b", "b"]
    assert written["clusters"][0]["cluster"]["certificate-authority"] == str(tmp_path / "ca.crt")
    assert written["users"][0]["user"]["tokenFile"] == str(tmp_path / "t")
    assert written["users"][0]["user"]["exec"]["command"] == str(tmp_path / "login")


def test_another_context_is_used_only_when_the_command_line_tells_so(tmp_path):
    given = kubeconfig(tmp_path / "config", "staging", "prod", current="prod")

    assert contexts.choose(given, "staging", told=True, environ={}).context == "staging"
    with pytest.raises(Infrastructure, match=r"is not the kubeconfig's current one, 'prod'.*--mesh-context=staging"):
        contexts.choose(given, "staging", told=False, environ={})


@pytest.mark.parametrize(
    ("text", "context", "words"),
    [
        ("contexts: []", "", "has no current context.*--mesh-context"),
        ("contexts: [{name: a, context: {cluster: a}}]", "b", r"no context 'b': .* has: a\)"),
        ("{current-context: a, contexts: [{name: a, context: {cluster: a}}]}", "", "clusters have no 'a'"),
        ("[1]", "", "is no kubeconfig"),
        ("contexts: 3", "", "contexts must be a list of named entries"),
        ("a: b: c", "", "cannot be read"),
    ],
)
def test_a_kubeconfig_that_names_no_cluster_is_one_line(tmp_path, text, context, words):
    (tmp_path / "config").write_text(text)

    with pytest.raises(Infrastructure, match=words) as caught:
        contexts.choose(tmp_path / "config", context, told=True, environ={})
    assert "\n" not in str(caught.value)


def test_kubeconfigs_of_the_environment_are_merged_as_kubectl_does(tmp_path):
    first = kubeconfig(tmp_path / "first", "a", token="first")
    second = kubeconfig(tmp_path / "second", "b", current="b", token="second")

    chosen = contexts.choose(None, "", told=False, environ={"KUBECONFIG": f"{first}:{tmp_path}/absent:{second}"})

    assert chosen.server == "https://b"
    assert chosen.config["users"][0]["user"] == {"token": "first"}


def test_a_pod_uses_its_own_account_where_there_is_no_kubeconfig(tmp_path):
    (tmp_path / "token").write_text("t")
    environ = {"HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}

    chosen = contexts.choose(None, "", told=False, environ=environ, account=tmp_path)

    assert chosen.server == "https://[fd00::1]:443"
    with pytest.raises(Infrastructure, match=r"no kubeconfig at .*--mesh-kubeconfig"):
        contexts.choose(None, "", told=False, environ=environ, account=tmp_path / "absent")


# ------------------------------------------------------------ whose a namespace is


def namespace(name="x", *, run="theirs", by="me", process="", age=timedelta(days=1), **metadata):
    created = (NOW - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    labels = {OWNER_LABEL: "true", RUN_LABEL: run}
    notes = {BY: by, PROCESS: process}
    return {
        "metadata": {"name": name, "labels": labels, "annotations": notes, "creationTimestamp": created, **metadata}
    }


def lease(age=timedelta(), *, kept=False):
    return leavings.lease("theirs", now=NOW - age, kept=kept)


@pytest.mark.parametrize(
    ("one", "held", "fate"),
    [
        (namespace(run="mine"), None, "mine"),
        (namespace(by="you"), None, "foreign"),
        (namespace(labels={}), None, "foreign"),
        (namespace(labels={OWNER_LABEL: "true"}), None, "foreign"),
        (namespace(deletionTimestamp="2026-05-31T00:00:00Z"), None, "going"),
        (namespace(), lease(timedelta(days=1), kept=True), "kept"),
        (namespace(), None, "dead"),
        (namespace(age=timedelta(minutes=1)), None, "live"),
        (namespace(), lease(timedelta(minutes=9)), "live"),
        (namespace(), lease(timedelta(minutes=11)), "dead"),
        (namespace(process="other/1 1 1"), lease(timedelta(minutes=9)), "live"),
        (namespace(process=str(Process.of(os.getpid()))), lease(timedelta(days=1)), "live"),
        (namespace(process=str(Process(host=Process.of(1).host, pid=2**22 + 1, started=1))), lease(), "dead"),
    ],
)
def test_a_namespace_is_a_dead_runs_or_it_is_let_be(one, held, fate):
    assert leavings.judge(one, held, ME, now=NOW) == fate


def test_an_account_that_the_api_server_does_not_name_clears_up_after_nobody():
    assert leavings.judge(namespace(by=""), None, Who(run="mine", by=""), now=NOW) == "foreign"


def test_a_process_is_another_one_when_its_pid_was_given_anew():
    me = Process.of(os.getpid())

    assert Process.parse(str(me)) == me
    assert me.here
    assert me.running
    assert not Process(host=me.host, pid=me.pid, started=me.started + 1).running
    assert Process.parse("nonsense") is None


def test_only_the_very_namespace_is_removed():
    made = namespace(run="mine", uid="1")
    there = Cluster(**{"/api/v1/namespaces/x": made})

    remove(there, made)
    assert there.changes[0][2]["preconditions"] == {"uid": "1"}

    relabelled = Cluster(**{"/api/v1/namespaces/x": namespace(labels={})})
    remove(relabelled, made)
    assert relabelled.changes == []


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-anything", "istio-system", "openshift-x"])
def test_the_clusters_own_namespaces_are_no_tests_namespaces(name):
    with pytest.raises(Infrastructure, match="the cluster's own"), made_namespace(Cluster(), name, {}, keep=bool):
        pass


# ------------------------------------------------------------ what may be changed


@pytest.fixture
def bounds():
    cluster = Cluster(**{"/api/v1/namespaces/ours": namespace(run="mine"), "/api/v1/namespaces/theirs": namespace()})
    return Bounds(cluster, run="mine", controller=os.getpid())


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("PATCH", "/api/v1/namespaces/istio-system/configmaps/x", "ConfigMap x is in namespace 'istio-system'"),
        ("PATCH", "/api/v1/namespaces/theirs/configmaps/x", "ConfigMap x is in namespace 'theirs'"),
        ("POST", "/api/v1/namespaces/default/pods", "ConfigMap x is in namespace 'default'"),
        ("DELETE", "/api/v1/namespaces/theirs", "in namespace 'theirs'"),
        ("PATCH", "/apis/rbac.authorization.k8s.io/v1/clusterroles/x", "is cluster-scoped"),
        ("DELETE", "/api/v1/nodes/x", "is cluster-scoped"),
        ("POST", "/api/v1/namespaces", "namespace x: on --mesh-cluster=existing a test changes nothing"),
    ],
)
def test_what_is_not_in_a_namespace_of_the_run_is_not_changed(bounds, method, path, words):
    body = {"kind": "ConfigMap", "metadata": {"name": "x"}}

    with pytest.raises(Infrastructure, match=words):
        bounds.check(method, path, body, {})


def test_the_runs_own_namespaces_reading_and_trying_out_are_free(bounds):
    bounds.check("GET", "/api/v1/nodes", None, {})
    bounds.check("PATCH", "/api/v1/namespaces/default/configmaps/x", {}, {"dryRun": "All"})
    bounds.check("POST", "/api/v1/namespaces/ours/pods", {}, {})
    bounds.check("DELETE", "/api/v1/namespaces/ours", {}, {})
    bounds.check("POST", "/api/v1/namespaces", {"metadata": {"name": "new", "labels": dict(bounds.labels())}}, {})


# ------------------------------------------------------------ rights


def test_what_an_account_may_not_is_named_right_by_right():
    cluster = Cluster(denied={"watch pods", "get pods/log", "list namespaces", "patch leases"})

    assert access.absent(cluster, install=False) == [
        "not allowed: list namespaces (cluster-wide)",
        "not allowed: watch pods (in all namespaces)",
        "not allowed: get pods/log (in all namespaces)",
        "not allowed: patch leases.coordination.k8s.io (in all namespaces)",
    ]


def test_an_installation_needs_rights_of_its_own():
    cluster = Cluster(denied={"escalate clusterroles"})

    assert access.absent(cluster, install=False) == []
    assert access.absent(cluster, install=True) == [
        "not allowed: escalate clusterroles.rbac.authorization.k8s.io (cluster-wide, for --mesh-install)"
    ]


@pytest.mark.parametrize(
    ("rule", "given"),
    [
        ({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]}, True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["*/log"]}, True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, False),
        ({"verbs": ["list"], "apiGroups": [""], "resources": ["pods/log"]}, False),
        ({"verbs": ["get"], "apiGroups": ["apps"], "resources": ["pods/log"]}, False),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"], "resourceNames": ["x"]}, False),
    ],
)
def test_a_rule_gives_a_right_or_it_does_not(rule, given):
    assert rights.Right(verb="get", group="", resource="pods/log").given_by(rule) is given


# ------------------------------------------------------------ pull secrets


def test_a_pull_secret_comes_from_a_file_or_from_the_cluster(tmp_path):
    (tmp_path / "config.json").write_text('{"auths": {"r": {"auth": "eDp5"}}}')
    held = {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "e30="}}
    cluster = Cluster(**{"/api/v1/namespaces/team/secrets/pull": held})

    assert pull_secrets.read(cluster, str(tmp_path / "config.json"))["metadata"]["name"] == pull_secrets.NAME
    assert pull_secrets.read(cluster, "team/pull")["data"] == held["data"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("nowhere", "no file nowhere, and no NAMESPACE/NAME"),
        ("team/absent", "there is no Secret team/absent"),
        ("team/opaque", "is of type Opaque"),
        ("team/secret", "`pytest-mesh rbac --pull-secret=team/secret` prints the right"),
    ],
)
def test_a_pull_secret_that_cannot_be_had_is_one_line(given, words):
    path = "/api/v1/namespaces/team/secrets/{}"
    cluster = Cluster(denied={path.format("secret")}, **{path.format("opaque"): {"type": "Opaque"}})

    with pytest.raises(Infrastructure, match=words):
        pull_secrets.read(cluster, given)


def test_a_file_without_credentials_is_no_pull_secret(tmp_path):
    (tmp_path / "config.json").write_text('{"credsStore": "desktop"}')

    with pytest.raises(Infrastructure, match="credential helper"):
        pull_secrets.read(Cluster(), str(tmp_path / "config.json"))


def test_a_lease_says_that_its_namespace_is_kept():
    assert lease(kept=True)["metadata"]["annotations"] == {KEPT: "true"}
    assert leavings.is_kept(lease(kept=True))
    assert not leavings.is_kept(lease())


# ------------------------------------------------------------ images


def test_images_have_the_registrys_names_wherever_a_document_says_them():
    names = image_names.table(["mesh/istiod", "mesh-istio/proxyv2:local"], "r.example:5000/team", "7")
    document = {"image": "mesh/istiod", "env": [{"value": "mesh-istio/proxyv2:local"}], "text": "a: mesh/istiod:1\n"}

    assert image_names.renamed(document, names) == {
        "image": "r.example:5000/team/mesh/istiod:7",
        "env": [{"value": "r.example:5000/team/mesh-istio/proxyv2:7"}],
        "text": "a: r.example:5000/team/mesh/istiod:7\n",
    }
    for other in ("x/mesh/istiod", "mesh/istiod2", "mesh/istiod/x", "r.example:5000/team/mesh/istiod:7"):
        assert image_names.renamed(other, names) == other


def test_without_a_registry_images_keep_their_names():
    assert image_names.pulled("mesh/istiod", "", "7") == "mesh/istiod"
    assert image_names.pulled("mesh/istiod", "r", "") == f"r/mesh/istiod:{__version__}"


def test_pods_and_templates_pull_by_the_secret_and_other_kinds_do_not():
    pod = {"kind": "Pod", "spec": {"containers": []}}
    held = {"containers": [], "imagePullSecrets": [{"name": "own"}]}
    deployment = {"kind": "Deployment", "spec": {"replicas": 2, "template": {"spec": held}}}
    service = {"kind": "Service", "spec": {"ports": []}}

    assert image_names.with_pull_secret(pod, "s")["spec"]["imagePullSecrets"] == [{"name": "s"}]
    fitted = image_names.with_pull_secret(deployment, "s")["spec"]
    assert fitted["template"]["spec"]["imagePullSecrets"] == [{"name": "own"}, {"name": "s"}]
    assert fitted["replicas"] == 2
    assert image_names.with_pull_secret(service, "s") == service

"""What a file says and a cluster does not have is told with the key that is probably wrong."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_mesh.contracts import Implementation
from pytest_mesh.failures import Infrastructure
from pytest_mesh.implementations import presence

ACME = Implementation(
    name="acme",
    namespace="acme-system",
    ready=("acme-system/acmed",),
    injection_labels={"acme": "on"},
    proxy_container="acme-proxy",
    init_container="acme-init",
    trust_domain="acme.example",
    root_config_map=("acme-ca", "ca.crt"),
    root_secret=("acme-system", "acme-root", "tls.crt"),
    source="acme.toml",
    lines={"install": 1, "install.ready": 2, "injection": 3, "injection.labels": 4, "identity": 5},
)
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/acme"
INJECTED = [
    {"name": "acme-init"},
    {"name": "acme-proxy", "env": [{"name": "TRUST_DOMAIN", "value": "acme.example"}]},
]


@pytest.fixture
def acme(kube, monkeypatch):
    """The mesh as its file says."""
    monkeypatch.setattr(presence, "_UNSELECTED_SECONDS", 0.0)
    monkeypatch.setattr(presence, "READY_SECONDS", 0.1)
    kube.put("/api/v1/namespaces/acme-system")
    kube.put(
        "/apis/apps/v1/namespaces/acme-system/deployments/acmed",
        spec={"replicas": 1, "selector": {"matchLabels": {"app": "acmed"}}},
        status={"readyReplicas": 1},
    )
    kube.put(
        WEBHOOKS,
        webhooks=[
            {
                "name": "inject.acme.example",
                "rules": [{"resources": ["pods"]}],
                "namespaceSelector": {"matchExpressions": [{"key": "acme", "operator": "In", "values": ["on", "yes"]}]},
            }
        ],
    )
    kube.put("/api/v1/namespaces/acme-system/secrets/acme-root", data={"tls.crt": "", "tls.key": ""})
    kube.comes_into_namespaces = {"acme-ca": {"ca.crt": "PEM"}}

    def inject(pod):
        pod["spec"]["initContainers"] = INJECTED
        return pod

    kube.inject = inject
    return kube


def told(kube, **changes) -> list[str]:
    return [str(one) for one in presence.look(kube, dataclasses.replace(ACME, **changes), seconds=0).findings]


def test_nothing_is_told_where_all_is_as_the_file_says_and_nothing_stays(acme):
    before = set(acme.objects)

    assert told(acme) == []
    assert set(acme.objects) == before


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"namespace": "acme"},
            "acme.toml:2: install.ready: there is no namespace 'acme' on this cluster (there are: acme-system)",
        ),
        (
            {"ready": ("acme-system/acme",)},
            "acme.toml:2: install.ready[0]: there is no Deployment acme-system/acme (namespace acme-system has: acmed)",
        ),
        (
            {"injection_labels": {"acme": "enabled"}},
            (
                "acme.toml:4: injection.labels: no webhook takes Pods of a namespace labelled acme=enabled "
                "(they take: acme in (on, yes))"
            ),
        ),
        (
            {"proxy_container": "proxy"},
            (
                "acme.toml:3: injection.proxy_container: an injected Pod has no container 'proxy' "
                "(injected: acme-init, acme-proxy)"
            ),
        ),
        (
            {"trust_domain": "cluster.local"},
            "acme.toml:5: identity.trust_domain: is 'cluster.local'; the injected proxy is told 'acme.example'",
        ),
        (
            {"root_config_map": ("acme-root", "ca.crt")},
            (
                "acme.toml:5: identity.root_config_map: no ConfigMap 'acme-root' comes into a namespace of the mesh "
                "(there are: acme-ca)"
            ),
        ),
        (
            {"root_config_map": ("acme-ca", "root.pem")},
            "acme.toml:5: identity.root_config_map[1]: ConfigMap acme-ca has no key 'root.pem' (it has: ca.crt)",
        ),
        (
            {"root_secret": ("acme-system", "acme", "tls.crt")},
            "acme.toml:5: identity.root_secret: there is no Secret acme-system/acme",
        ),
        (
            {"root_secret": ("acme-system", "acme-root", "ca.crt")},
            "acme.toml:5: identity.root_secret[2]: Secret acme-system/acme-root has no key 'ca.crt' (it has: tls.crt, tls.key)",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_key(acme, changes, line):
    assert told(acme, **changes) == [line]


def test_a_deployment_that_is_not_ready_says_why(acme):
    acme.objects["/apis/apps/v1/namespaces/acme-system/deployments/acmed"]["status"] = {}
    acme.put(
        "/api/v1/namespaces/acme-system/pods/acmed-0",
        status={
            "containerStatuses": [
                {"name": "acmed", "state": {"waiting": {"reason": "ErrImagePull", "message": "no image acme/d"}}}
            ]
        },
    )
    acme.objects["/api/v1/namespaces/acme-system/pods/acmed-0"]["metadata"]["labels"] = {"app": "acmed"}

    (text,) = told(acme)

    assert text.splitlines()[0] == (
        "acme.toml:2: install.ready[0]: Deployment acme-system/acmed has 0 of 1 pods Ready; "
        "acmed: ErrImagePull: no image acme/d"
    )
    assert "last lines of acmed-0/acmed:\n      oh no" in text


def test_a_pod_that_comes_back_as_it_was_is_told(acme):
    acme.inject = lambda pod: pod

    assert told(acme) == [
        (
            "acme.toml:4: injection.labels: namespace labelled acme=on: a Pod comes back as it was, without a proxy "
            "(taken by inject.acme.example)"
        )
    ]


def test_a_webhook_that_takes_the_label_and_injects_nothing_is_for_the_checks_to_judge_at_once(acme, monkeypatch):
    acme.inject = lambda pod: pod
    monkeypatch.setattr(presence, "READY_SECONDS", 600.0)

    looked = presence.require(acme, ACME, injection=True)

    assert [one.key for one in looked.doubts] == ["injection.labels"]


def test_a_webhook_that_may_be_passed_over_is_given_its_time(acme, monkeypatch):
    (webhook,) = acme.objects[WEBHOOKS]["webhooks"]
    webhook["failurePolicy"] = "Ignore"
    calls = []

    def inject(pod):
        calls.append(pod)
        if len(calls) > 2:
            pod["spec"]["initContainers"] = INJECTED
        return pod

    acme.inject = inject
    monkeypatch.setattr(presence, "READY_SECONDS", 600.0)

    assert presence.require(acme, ACME, injection=True) == presence.Look()


def test_a_webhook_for_every_namespace_that_leaves_a_pod_alone_says_nothing_of_the_mesh(acme):
    (webhook,) = acme.objects[WEBHOOKS]["webhooks"]
    del webhook["namespaceSelector"]
    acme.inject = lambda pod: pod

    with pytest.raises(Infrastructure, match=r"a Pod comes back as it was, without a proxy$"):
        presence.require(acme, ACME, injection=True)


def test_what_this_account_may_not_read_is_no_finding_but_is_said(acme):
    acme.denied = ("/apis/apps", "/apis/admissionregistration", "/api/v1/namespaces/acme-system")

    looked = presence.look(acme, ACME, seconds=0)

    assert looked.findings == []
    assert looked.unseen == [
        "namespace acme-system",
        "Deployment acme-system/acmed",
        "webhooks",
        "Secret acme-system/acme-root",
    ]


def test_a_run_does_not_begin_on_a_cluster_without_the_mesh(kube):
    with pytest.raises(Infrastructure) as caught:
        presence.require(kube, ACME, injection=True)

    assert str(caught.value).splitlines() == [
        "the mesh is not on this cluster as its file says:",
        "  acme.toml:2: install.ready: there is no namespace 'acme-system' on this cluster (there are: none)",
    ]


def test_a_mesh_that_publishes_another_bundle_is_for_the_checks_to_judge(acme):
    acme.comes_into_namespaces = {}

    assert presence.require(acme, ACME, injection=True) == presence.Look()


@pytest.mark.parametrize("changes", [{"trust_domain": "cluster.local"}, {"init_container": "acme-setup"}])
def test_what_may_be_the_meshs_own_fault_does_not_keep_a_run_from_judging_it(acme, changes):
    looked = presence.require(acme, dataclasses.replace(ACME, **changes), injection=True)

    assert [one.key.rpartition(".")[2] for one in looked.doubts] == list(changes)

"""The two stages of the decision (row §2.1): the API server's selectors, then the injector's own rules."""

from __future__ import annotations

from typing import Any

import pytest

from mesh_reference import manifests
from mesh_reference.injection.decision import decide
from mesh_reference.injection.settings import InjectionSettings
from mesh_reference.kube.resources import NODES
from mesh_reference.kube.watching import Event
from mesh_reference.mesh_config import injection_settings
from mesh_reference.settings import Settings
from mesh_reference.store.index import MeshIndex

INJECT = "sidecar.istio.io/inject"
Labels = dict[str, str]


def holds(expression: dict[str, Any], labels: Labels) -> bool:
    key, values = expression["key"], expression.get("values")
    return {
        "In": lambda: labels.get(key) in values,
        "NotIn": lambda: labels.get(key) not in values,
        "Exists": lambda: key in labels,
        "DoesNotExist": lambda: key not in labels,
    }[expression["operator"]]()


def asked(namespace: Labels, pod: Labels, revision: str = "default", *, by_default: bool = False) -> list[str]:
    """Names of the webhooks that the API server calls for this pod."""
    configuration = manifests.injector(
        manifests.Installation(settings=Settings(revision=revision), inject_by_default=by_default)
    )
    return [
        webhook["name"].partition(".sidecar-injector")[0]
        for webhook in configuration["webhooks"]
        if all(holds(one, namespace) for one in webhook["namespaceSelector"]["matchExpressions"])
        and all(holds(one, pod) for one in webhook["objectSelector"]["matchExpressions"])
    ]


@pytest.mark.parametrize(
    ("namespace", "pod", "webhooks"),
    [
        ({}, {}, []),
        ({"istio-injection": "enabled"}, {}, ["namespace"]),
        ({"istio-injection": "enabled"}, {INJECT: "true"}, ["namespace"]),
        ({"istio-injection": "enabled"}, {INJECT: "false"}, []),
        ({"istio-injection": "disabled"}, {}, []),
        ({"istio-injection": "disabled"}, {INJECT: "true"}, []),
        ({}, {INJECT: "true"}, ["object"]),
        ({}, {INJECT: "false"}, []),
        ({"istio.io/rev": "default"}, {}, ["rev.namespace"]),
        ({"istio.io/rev": "default"}, {INJECT: "false"}, []),
        ({"istio.io/rev": "other"}, {}, []),
        ({"istio.io/rev": "other"}, {INJECT: "true"}, []),
        ({"istio-injection": "enabled", "istio.io/rev": "other"}, {}, ["namespace"]),
        ({}, {"istio.io/rev": "default"}, ["rev.object"]),
        ({}, {"istio.io/rev": "default", INJECT: "true"}, ["rev.object"]),
        ({}, {"istio.io/rev": "default", INJECT: "false"}, []),
        ({}, {"istio.io/rev": "other", INJECT: "true"}, []),
    ],
)
def test_the_api_server_asks_exactly_one_webhook_where_injection_is_wanted(  # IA1 IA2 IA3 IA4 IA6
    namespace: Labels, pod: Labels, webhooks: list[str]
) -> None:
    assert asked(namespace, pod) == webhooks


@pytest.mark.parametrize(
    ("namespace", "pod", "webhooks"),
    [
        ({"istio.io/rev": "canary"}, {}, ["rev.namespace"]),
        ({"istio-injection": "enabled"}, {}, []),
        ({"istio-injection": "enabled", "istio.io/rev": "canary"}, {}, []),
        ({}, {"istio.io/rev": "canary"}, ["rev.object"]),
        ({}, {INJECT: "true"}, []),
    ],
)
def test_another_revision_is_asked_by_its_own_label_only(
    namespace: Labels, pod: Labels, webhooks: list[str]
) -> None:  # IA1 IA2
    assert asked(namespace, pod, "canary") == webhooks


@pytest.mark.parametrize(
    ("namespace", "pod", "webhooks"),
    [
        ({}, {}, ["auto"]),
        ({"kubernetes.io/metadata.name": "kube-system"}, {}, []),
        ({"istio-injection": "disabled"}, {}, []),
        ({"istio-injection": "enabled"}, {}, ["namespace"]),
        ({"istio.io/rev": "default"}, {}, ["rev.namespace"]),
        ({}, {INJECT: "true"}, ["object"]),
        ({}, {INJECT: "false"}, []),
        ({}, {"istio.io/rev": "default"}, ["rev.object"]),
    ],
)
def test_injection_by_default_takes_the_pods_that_nobody_says_anything_about(  # IA5
    namespace: Labels, pod: Labels, webhooks: list[str]
) -> None:
    assert asked(namespace, pod, by_default=True) == webhooks


def test_injection_by_default_is_the_default_revisions_alone() -> None:  # IA5
    assert asked({}, {}, "canary", by_default=True) == []


NEVER = ({"matchLabels": {"tier": "infra"}},)
ALWAYS = ({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["web", "infra"]}]},)


def pod_with(labels: Labels | None = None, annotations: Labels | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"labels": labels or {}, "annotations": annotations or {}}, "spec": spec}


@pytest.mark.parametrize(
    ("pod", "namespace", "settings", "injected"),
    [
        (pod_with(), "shop", {}, True),
        (pod_with(), "shop", {"policy": "disabled"}, False),
        (pod_with({INJECT: "true"}, hostNetwork=True), "shop", {}, False),
        (pod_with({INJECT: "true"}), "kube-system", {}, False),
        (pod_with({INJECT: "true"}), "kube-public", {}, False),
        (pod_with({INJECT: "true"}), "kube-node-lease", {}, False),
        (pod_with({INJECT: "true"}), "local-path-storage", {}, False),
        (pod_with({INJECT: "false"}), "shop", {}, False),
        (pod_with({INJECT: "true"}), "shop", {"policy": "disabled"}, True),
        (pod_with(None, {INJECT: "false"}), "shop", {}, False),
        (pod_with(None, {INJECT: "true"}), "shop", {"policy": "disabled"}, True),
        (pod_with({INJECT: "true"}, {INJECT: "false"}), "shop", {}, True),
        (pod_with({INJECT: "false"}, {INJECT: "true"}), "shop", {}, False),
        (pod_with({INJECT: ""}), "shop", {}, True),
        (pod_with({"tier": "infra"}), "shop", {"never_inject": NEVER}, False),
        (pod_with({"tier": "infra", INJECT: "true"}), "shop", {"never_inject": NEVER}, True),
        (pod_with({"tier": "web"}), "shop", {"always_inject": ALWAYS, "policy": "disabled"}, True),
        (pod_with({"tier": "web", INJECT: "false"}), "shop", {"always_inject": ALWAYS}, False),
        (pod_with({"tier": "infra"}), "shop", {"never_inject": NEVER, "always_inject": ALWAYS}, False),
        (pod_with({"tier": "db"}), "shop", {"always_inject": ALWAYS, "policy": "disabled"}, False),
        (pod_with(), "shop", {"never_inject": ({},)}, True),
    ],
)
def test_the_first_rule_that_speaks_decides(  # IB1 IB2 IB3 IB4 IB5 IB6 IB7
    pod: dict[str, Any], namespace: str, settings: dict[str, Any], injected: bool
) -> None:
    decision = decide(pod, namespace, InjectionSettings(**settings))
    assert decision.inject is injected
    assert decision.reason
    assert not decision.warning


@pytest.mark.parametrize("word", ["yes", "True", "1"])
def test_a_word_that_is_neither_true_nor_false_is_told_and_the_policy_decides(word: str) -> None:  # IB8
    for policy, injected in (("enabled", True), ("disabled", False)):
        decision = decide(pod_with({INJECT: word}), "shop", InjectionSettings(policy=policy))
        assert decision.inject is injected
        assert f'"{word}"' in decision.warning


def test_a_selector_operator_that_does_not_exist_is_an_error_that_lists_those_that_do() -> None:
    settings = InjectionSettings(never_inject=({"matchExpressions": [{"key": "a", "operator": "Gt"}]},))
    with pytest.raises(ValueError, match="use In, NotIn, Exists or DoesNotExist"):
        decide(pod_with(), "shop", settings)


@pytest.mark.parametrize(
    ("word", "kubelets", "native"),
    [
        ("auto", [], True),
        ("auto", ["v1.33.0", "v1.34.4"], True),
        ("auto", ["v1.33.0", "v1.32.9-eks"], False),
        ("auto", ["unknown"], False),
        ("auto", ["v2.0.1"], True),
        ("false", ["v1.34.4"], False),
        ("true", ["v1.28.0"], True),
    ],
)
def test_sidecars_are_native_where_every_node_can_run_them_unless_the_operator_says_otherwise(  # IC6 IC7
    word: str, kubelets: list[str], native: bool
) -> None:
    settings = injection_settings(Settings(), {}, {"ENABLE_NATIVE_SIDECARS": word}, kubelets)
    assert settings.native_sidecar is native


def test_the_webhooks_are_asked_once_at_the_creation_of_pods_and_fail_closed() -> None:  # IA7
    for webhook in manifests.injector(manifests.Installation())["webhooks"]:
        assert (webhook["failurePolicy"], webhook["sideEffects"]) == ("Fail", "None")
        assert webhook["reinvocationPolicy"] == "Never"
        assert webhook["rules"] == [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
        ]


def test_the_nodes_that_are_watched_tell_their_kubelets_versions() -> None:  # IC6
    index = MeshIndex("cluster.local")
    node = {"metadata": {"name": "n"}, "status": {"nodeInfo": {"kubeletVersion": "v1.32.1"}}}
    index.apply(NODES, Event(kind="upsert", object=node))
    assert dict(index.kubelets) == {"n": "v1.32.1"}
    index.apply(NODES, Event(kind="delete", object=node))
    assert not index.kubelets

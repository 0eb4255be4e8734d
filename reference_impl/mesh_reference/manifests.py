"""What installs the mesh, as plain Kubernetes objects in the order in which they are applied. Pure.

It installs one control plane in its root namespace and the cluster-wide objects it
needs, with no more rights than its code uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh_reference import documents, mesh_config
from mesh_reference.injection.decision import IGNORED_NAMESPACES
from mesh_reference.injection.settings import PROXY_IMAGE
from mesh_reference.model import crds
from mesh_reference.model.schema.kinds import KINDS
from mesh_reference.settings import Settings
from mesh_reference.webhooks.bundles import injector_name, suffix, validator_name

Json = dict[str, Any]

ISTIOD_IMAGE = "mesh-reference/istiod"
DEFAULT_ISTIOD = "istiod.istio-system.svc:15012"
CERTIFICATE_PORT = "CA_CERTIFICATE_PORT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What can be chosen about an installation."""

    settings: Settings = field(default_factory=Settings)
    image: str = ISTIOD_IMAGE
    proxy_image: str = PROXY_IMAGE
    image_pull_policy: str = "IfNotPresent"
    replicas: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of istiod."""
    mesh_config: Mapping[str, Any] = field(default_factory=dict)
    inject_by_default: bool = False
    """Whether pods of namespaces that say nothing are injected (Istio's enableNamespacesByDefault)."""

    @property
    def name(self) -> str:
        """``istiod``, or ``istiod-<revision>``."""
        return self.settings.service_name + suffix(self.settings.revision)

    @property
    def all_environment(self) -> dict[str, str]:
        """Environment variables of istiod, with those that every installation has."""
        revision = self.settings.revision or "default"
        return {"REVISION": revision, "PROXY_IMAGE": self.proxy_image, CERTIFICATE_PORT: "15013", **self.environment}


def objects(installation: Installation) -> list[Json]:
    """Every object; each can be applied when those before it have been."""
    return [
        *crds.definitions(),
        _namespace(installation),
        _service_account(installation),
        *_rights(installation),
        _config_map(installation),
        _service(installation),
        _deployment(installation),
        injector(installation),
        validator(installation),
    ]


def _labels(installation: Installation) -> dict[str, str]:
    return {
        "app": "istiod",
        "istio": "pilot",
        "istio.io/rev": installation.settings.revision or "default",
        "app.kubernetes.io/name": "istiod",
        "app.kubernetes.io/part-of": "istio",
    }


def _metadata(installation: Installation, name: str, *, namespaced: bool = True) -> Json:
    metadata: Json = {"name": name}
    if namespaced:
        metadata["namespace"] = installation.settings.root_namespace
    return {**metadata, "labels": _labels(installation)}


def _namespace(installation: Installation) -> Json:
    metadata: Json = {"name": installation.settings.root_namespace}
    for selector in list(installation.mesh_config.get("discoverySelectors") or ())[:1]:
        if selector.get("matchLabels"):
            # The control plane knows its own namespace.
            metadata["labels"] = dict(selector["matchLabels"])
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _service_account(installation: Installation) -> Json:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(installation, installation.name)}


def _rights(installation: Installation) -> list[Json]:
    namespace = installation.settings.root_namespace
    cluster_name = f"{installation.name}-{namespace}"
    rbac = "rbac.authorization.k8s.io"
    subject = [{"kind": "ServiceAccount", "name": installation.name, "namespace": namespace}]
    return [
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRole",
            "metadata": _metadata(installation, cluster_name, namespaced=False),
            "rules": _cluster_rules(installation),
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": _metadata(installation, cluster_name, namespaced=False),
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": cluster_name},
            "subjects": subject,
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "Role",
            "metadata": _metadata(installation, installation.name),
            "rules": [
                _rule("", ["secrets"], ["create"]),
                {**_rule("", ["secrets"], ["get", "update"]), "resourceNames": ["istio-ca-secret"]},
                {**_rule("", ["secrets"], ["get", "list", "watch"]), "resourceNames": ["cacerts"]},
                # Who leads, where only one of several may write.
                _rule("coordination.k8s.io", ["leases"], ["get", "create", "update"]),
            ],
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": _metadata(installation, installation.name),
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": installation.name},
            "subjects": subject,
        },
    ]


def _cluster_rules(installation: Installation) -> list[Json]:
    settings = installation.settings
    read = ["get", "list", "watch"]
    admission = "admissionregistration.k8s.io"
    by_group: dict[str, list[str]] = {}
    for kind in KINDS:
        if kind.acted_on:
            by_group.setdefault(kind.group, []).append(kind.plural)
    return [
        _rule("", ["pods", "services", "namespaces", "nodes"], read),
        _rule("discovery.k8s.io", ["endpointslices"], read),
        *(_rule(group, plurals, read) for group, plurals in by_group.items()),
        # The root certificate goes into every namespace.
        _rule("", ["configmaps"], [*read, "create", "update"]),
        _rule(admission, ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"], ["list", "watch"]),
        {
            **_rule(admission, ["mutatingwebhookconfigurations"], ["get", "update"]),
            "resourceNames": [injector_name(settings)],
        },
        {
            **_rule(admission, ["validatingwebhookconfigurations"], ["get", "update"]),
            "resourceNames": [validator_name(settings)],
        },
        _rule("authentication.k8s.io", ["tokenreviews"], ["create"]),
    ]


def _rule(group: str, resources: list[str], verbs: list[str]) -> Json:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def _config_map(installation: Installation) -> Json:
    settings = installation.settings
    config = {
        "rootNamespace": settings.root_namespace,
        "trustDomain": settings.trust_domain,
        **installation.mesh_config,
    }
    address = f"{installation.name}.{settings.root_namespace}.svc:{settings.secure_port}"
    if address != DEFAULT_ISTIOD:
        # Proxies look for the default one otherwise, which may be another control plane.
        config["defaultConfig"] = {"discoveryAddress": address, **(config.get("defaultConfig") or {})}
    mesh_config.check_mesh_config(config, "meshConfig")
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(installation, mesh_config.CONFIG_MAP + suffix(settings.revision)),
        "data": {mesh_config.KEY: documents.dump(config)},
    }


def _service(installation: Installation) -> Json:
    settings = installation.settings
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(installation, installation.name),
        "spec": {
            "selector": _selector(installation),
            "ports": [
                _port("grpc-xds", settings.xds_port),
                _port("https-dns", settings.secure_port),
                _port("https-ca", int(installation.all_environment[CERTIFICATE_PORT])),
                {"name": "https-webhook", "port": 443, "targetPort": settings.webhook_port, "protocol": "TCP"},
                _port("http-monitoring", settings.monitoring_port),
            ],
        },
    }


def _selector(installation: Installation) -> dict[str, str]:
    return {"app": "istiod", "istio.io/rev": installation.settings.revision or "default"}


def _port(name: str, number: int) -> Json:
    return {"name": name, "port": number, "targetPort": number, "protocol": "TCP"}


def _deployment(installation: Installation) -> Json:
    settings = installation.settings
    certificates = int(installation.all_environment[CERTIFICATE_PORT])
    ports = (settings.http_port, settings.xds_port, settings.secure_port, certificates, settings.webhook_port)
    container: Json = {
        "name": "discovery",
        "image": installation.image,
        "imagePullPolicy": installation.image_pull_policy,
        "ports": [{"containerPort": port, "protocol": "TCP"} for port in (*ports, settings.monitoring_port)],
        "env": _environment(installation),
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": settings.http_port},
            "initialDelaySeconds": 0,
            "periodSeconds": 1,
            "timeoutSeconds": 5,
        },
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 1337,
            "runAsGroup": 1337,
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
    }
    template_labels = {**_labels(installation), "sidecar.istio.io/inject": "false"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(installation, installation.name),
        "spec": {
            "replicas": installation.replicas,
            "selector": {"matchLabels": _selector(installation)},
            "template": {
                "metadata": {"labels": template_labels},
                "spec": {
                    "serviceAccountName": installation.name,
                    "containers": [container],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                },
            },
        },
    }


def _environment(installation: Installation) -> list[Json]:
    return [
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        *({"name": name, "value": value} for name, value in installation.all_environment.items()),
    ]


def injector(installation: Installation) -> Json:
    """The MutatingWebhookConfiguration: stage A of the injection decision (row §2.1)."""
    settings = installation.settings
    revision = settings.revision or "default"
    not_refused = _expression("sidecar.istio.io/inject", "NotIn", "false")
    no_revision, no_injection = (
        _expression("istio.io/rev", "DoesNotExist"),
        _expression("istio-injection", "DoesNotExist"),
    )
    webhooks = [
        ("rev.namespace", [_expression("istio.io/rev", "In", revision), no_injection], [not_refused]),
        ("rev.object", [no_revision, no_injection], [not_refused, _expression("istio.io/rev", "In", revision)]),
    ]
    if revision == "default":
        webhooks += [
            ("namespace", [_expression("istio-injection", "In", "enabled")], [not_refused]),
            (
                "object",
                [no_injection, no_revision],
                [_expression("sidecar.istio.io/inject", "In", "true"), no_revision],
            ),
        ]
        if installation.inject_by_default:
            system = _expression("kubernetes.io/metadata.name", "NotIn", *sorted(IGNORED_NAMESPACES))
            silent = [_expression("sidecar.istio.io/inject", "DoesNotExist"), no_revision]
            webhooks.append(("auto", [no_injection, no_revision, system], silent))
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": _metadata(installation, injector_name(settings), namespaced=False),
        "webhooks": [
            {
                "name": f"{name}.sidecar-injector.istio.io",
                "clientConfig": _client(installation, "/inject"),
                "sideEffects": "None",
                "rules": [
                    {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]},
                ],
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "admissionReviewVersions": ["v1"],
                "namespaceSelector": {"matchExpressions": namespace_rules},
                "objectSelector": {"matchExpressions": object_rules},
            }
            for name, namespace_rules, object_rules in webhooks
        ],
    }


def validator(installation: Installation) -> Json:
    """The ValidatingWebhookConfiguration: Galley, for the kinds that this mesh serves."""
    settings = installation.settings
    by_group: dict[str, list[str]] = {}
    for kind in KINDS:
        by_group.setdefault(kind.group, []).append(kind.plural)
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": _metadata(installation, validator_name(settings), namespaced=False),
        "webhooks": [
            {
                "name": "rev.validation.istio.io",
                "clientConfig": _client(installation, "/validate"),
                "rules": [
                    {
                        "operations": ["CREATE", "UPDATE"],
                        "apiGroups": [group],
                        "apiVersions": ["*"],
                        "resources": plurals,
                    }
                    for group, plurals in by_group.items()
                ],
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                **_own_objects(settings.revision),
            }
        ],
    }


def _own_objects(revision: str) -> Json:
    """The default revision checks every object; another one, as Istio's, those that carry its label."""
    if not suffix(revision):
        return {}
    return {"objectSelector": {"matchExpressions": [_expression("istio.io/rev", "In", revision)]}}


def _client(installation: Installation, path: str) -> Json:
    return {
        "service": {
            "name": installation.name,
            "namespace": installation.settings.root_namespace,
            "path": path,
            "port": 443,
        }
    }


def _expression(key: str, operator: str, *values: str) -> Json:
    expression: Json = {"key": key, "operator": operator}
    if values:
        expression["values"] = list(values)
    return expression

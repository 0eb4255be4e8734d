"""Whole, sound objects of the kinds that the families change and break."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def config_map(name: str = "one", data: Json | None = None, **metadata: Any) -> Json:
    return {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata},
        "data": {"a": "1"} if data is None else data,
    }  # fmt: skip


def secret(name: str = "one", **more: Any) -> Json:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"a": "MQ=="}, **more}


def service(name: str = "one", **spec: Any) -> Json:
    whole = {"selector": {"app": "one"}, "ports": [{"port": 80, "targetPort": 8080}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": whole}


def container(**more: Any) -> Json:
    return {"name": "main", "image": "registry.example/app:1.0", **more}


def pod(name: str = "one", containers: list[Json] | None = None, **spec: Any) -> Json:
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "one"}},
        "spec": {"containers": [container()] if containers is None else containers, **spec},
    }  # fmt: skip


def workload(kind: str, name: str = "one", pod_spec: Json | None = None, **spec: Any) -> Json:
    template = {"metadata": {"labels": {"app": "one"}}, "spec": pod_spec or {"containers": [container()]}}
    whole: Json = {"selector": {"matchLabels": {"app": "one"}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": whole}


def deployment(name: str = "one", **spec: Any) -> Json:
    return workload("Deployment", name, **spec)


def role(name: str = "one", rules: list[Json] | None = None) -> Json:
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}] if rules is None else rules
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules}


def role_binding(name: str = "one", role_name: str = "one", account: str = "bob", **more: Any) -> Json:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role_name},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "$ns"}], **more,
    }  # fmt: skip


def definition(group: str, plural: str, kind: str, versions: list[Json] | None = None, **spec: Any) -> Json:
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group, "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
            "versions": versions or [version()], **spec,
        },
    }  # fmt: skip


def version(name: str = "v1", spec: Json | None = None, *, storage: bool = True, **more: Any) -> Json:
    schema = {
        "type": "object",
        "properties": {"spec": spec or {"type": "object", "properties": {"host": {"type": "string"}}}},
    }
    if "status" in (more.get("subresources") or {}):
        schema["properties"]["status"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": schema}, **more}

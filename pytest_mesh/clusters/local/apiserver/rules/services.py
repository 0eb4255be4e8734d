"""The rules of the built-in kinds: what a create or an update must satisfy. Pure.

Only rules that a mesh's tests can meet are here; each speaks as Kubernetes does. Types
are ``decoding``'s, custom resources ``validation``'s.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import objects
from pytest_mesh.clusters.local.apiserver.errors import Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo
    from pytest_mesh.contracts import Json

_PATH_NAMES = {"roles", "rolebindings", "clusterroles", "clusterrolebindings"}
_NAME_RULES = {"services": "label1035", "namespaces": "label"}
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_ENV = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*|[^=]+")
_PORT_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
IMMUTABLE = "field is immutable"


def required(field: str, why: str = "") -> Cause:
    """Give the fault of a field that is not there."""
    return Cause(field=field, message=f"Required value{': ' + why if why else ''}", reason="FieldValueRequired")


def wrong(field: str, value: Any, why: str) -> Cause:
    """Give the fault of a value that breaks a rule."""
    shown = f'"{value}"' if isinstance(value, str) else value
    if isinstance(value, (dict, list)):
        shown = objects.shown(value)
    return Cause(field=field, message=f"Invalid value: {shown}: {why}")


def unsupported(field: str, value: Any, allowed: tuple[str, ...]) -> Cause:
    """Give the fault of a value outside an enumeration."""
    shown = ", ".join(f'"{item}"' for item in sorted(allowed))
    return Cause(
        field=field,
        message=f'Unsupported value: "{value}": supported values: {shown}',
        reason="FieldValueNotSupported",
    )


def duplicate(field: str, value: Any) -> Cause:
    """Give the fault of a value that must be unique."""
    return Cause(field=field, message=f'Duplicate value: "{value}"', reason="FieldValueDuplicate")


def forbidden(field: str, why: str) -> Cause:
    """Give the fault of a field that must not be there or must not change."""
    return Cause(field=field, message=f"Forbidden: {why}", reason="FieldValueForbidden")


def check_metadata(info: ResourceInfo, obj: Json) -> Iterator[Cause]:
    """Give the faults of an object's metadata."""
    metadata = obj["metadata"]
    rule = "path" if info.plural in _PATH_NAMES and "rbac" in info.group else _NAME_RULES.get(info.key, "subdomain")
    if (fault := objects.name_fault(metadata["name"], rule)) is not None:
        yield wrong("metadata.name", metadata["name"], fault)
    yield from _labels(metadata.get("labels"), "metadata.labels")
    for key in metadata.get("annotations") or {}:
        if (fault := objects.label_key_fault(key)) is not None:
            yield wrong("metadata.annotations", key, fault)
    for index, finalizer in enumerate(metadata.get("finalizers") or ()):
        if (fault := objects.label_key_fault(finalizer)) is not None:
            yield wrong(f"metadata.finalizers[{index}]", finalizer, fault)
    for index, owner in enumerate(metadata.get("ownerReferences") or ()):
        for name in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(name):
                yield wrong(f"metadata.ownerReferences[{index}].{name}", "", f"{name} must not be empty")


def check(info: ResourceInfo, obj: Json, old: Json | None) -> Iterator[Cause]:
    """Give the faults of a built-in object; ``old`` is what an update replaces."""
    function = _KINDS.get(info.key)
    if function is not None:
        yield from function(obj, old)


def _labels(labels: Json | None, path: str) -> Iterator[Cause]:
    for key, value in (labels or {}).items():
        if (fault := objects.label_key_fault(key)) is not None:
            yield wrong(path, key, fault)
        if (fault := objects.label_value_fault(value)) is not None:
            yield wrong(path, value, fault)


# ---------------------------------------------------------------- pods and what makes them


def _pod(pod: Json, old: Json | None) -> Iterator[Cause]:
    if old is None:
        yield from pod_spec(pod["spec"], "spec")
        return
    if _frozen(pod["spec"]) != _frozen(old["spec"]):
        yield forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
            "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        )


def _frozen(spec: Json) -> Json:
    free = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates", "nodeName")
    frozen = {name: value for name, value in spec.items() if name not in free}
    for name in ("containers", "initContainers", "ephemeralContainers"):
        if name in frozen:
            frozen[name] = [{k: v for k, v in container.items() if k != "image"} for container in frozen[name]]
    return frozen


def pod_spec(spec: Json, path: str) -> Iterator[Cause]:
    """Give the faults of a Pod's spec or a template's."""
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    volumes: set[str] = set()
    for index, volume in enumerate(spec.get("volumes", ())):
        at = f"{path}.volumes[{index}]"
        name = volume.get("name", "")
        if (fault := objects.name_fault(name, "label")) is not None:
            yield required(f"{at}.name") if not name else wrong(f"{at}.name", name, fault)
        if name in volumes:
            yield duplicate(f"{at}.name", name)
        volumes.add(name)
        if len(volume) > 2:
            yield forbidden(at, "may not specify more than 1 volume type")
    names: set[str] = set()
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field, ())):
            yield from _container(container, f"{path}.{field}[{index}]", names, volumes)
    policy = spec.get("restartPolicy", "Always")
    if policy not in ("Always", "OnFailure", "Never"):
        yield unsupported(f"{path}.restartPolicy", policy, ("Always", "OnFailure", "Never"))
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        yield wrong(
            f"{path}.terminationGracePeriodSeconds",
            spec["terminationGracePeriodSeconds"],
            "must be greater than or equal to 0",
        )


def _container(container: Json, path: str, names: set[str], volumes: set[str]) -> Iterator[Cause]:
    name = container.get("name", "")
    if not name:
        yield required(f"{path}.name")
    elif (fault := objects.name_fault(name, "label")) is not None:
        yield wrong(f"{path}.name", name, fault)
    elif name in names:
        yield duplicate(f"{path}.name", name)
    names.add(name)
    if not container.get("image"):
        yield required(f"{path}.image")
    ports: set[str] = set()
    for index, port in enumerate(container.get("ports", ())):
        at = f"{path}.ports[{index}]"
        if not port.get("containerPort"):
            yield required(f"{at}.containerPort")
        else:
            yield from _port(port["containerPort"], f"{at}.containerPort")
        if port.get("name"):
            if (text := _port_name_fault(port["name"])) is not None:
                yield wrong(f"{at}.name", port["name"], text)
            if port["name"] in ports:
                yield duplicate(f"{at}.name", port["name"])
            ports.add(port["name"])
    for index, variable in enumerate(container.get("env", ())):
        if not variable.get("name"):
            yield required(f"{path}.env[{index}].name")
        elif not _ENV.fullmatch(variable["name"]):
            yield wrong(f"{path}.env[{index}].name", variable["name"], "a valid environment variable name is needed")
        if variable.get("value") and variable.get("valueFrom"):
            yield wrong(f"{path}.env[{index}].valueFrom", "", "may not be specified when `value` is not empty")
    mounts: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts", ())):
        at = f"{path}.volumeMounts[{index}]"
        if not mount.get("mountPath"):
            yield required(f"{at}.mountPath")
        elif mount["mountPath"] in mounts:
            yield wrong(f"{at}.mountPath", mount["mountPath"], "must be unique")
        mounts.add(mount.get("mountPath", ""))
        if mount.get("name", "") not in volumes:
            yield Cause(
                field=f"{at}.name", message=f'Not found: "{mount.get("name", "")}"', reason="FieldValueNotFound"
            )


def _port(port: Any, path: str) -> Iterator[Cause]:
    if isinstance(port, int) and not 0 < port < 65536:
        yield wrong(path, port, "must be between 1 and 65535, inclusive")


def _port_name_fault(name: str) -> str | None:
    if len(name) > 15:
        return "must be no more than 15 characters"
    if not _PORT_NAME.fullmatch(name):
        return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search("[a-z]", name):
        return "must contain at least one letter (a-z)"
    return "must not contain consecutive hyphens" if "--" in name else None


def _matches(selector: Json, labels: Json) -> bool:
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions") or ():
        value = labels.get(term["key"])
        held = {
            "In": value in (term.get("values") or ()),
            "NotIn": value not in (term.get("values") or ()),
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }.get(term.get("operator", ""), False)
        if not held:
            return False
    return True


def _workload(obj: Json, old: Json | None) -> Iterator[Cause]:
    spec = obj["spec"]
    selector = spec.get("selector")
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    if spec.get("replicas", 1) < 0:
        yield wrong("spec.replicas", spec["replicas"], "must be greater than or equal to 0")
    if selector is None:
        yield required("spec.selector")
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield wrong("spec.selector", selector, "empty selector is invalid for deployment")
    elif old is not None and selector != old["spec"].get("selector"):
        yield wrong("spec.selector", selector, IMMUTABLE)
    if selector is not None and not _matches(selector, labels):
        yield wrong("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    yield from _labels(labels, "spec.template.metadata.labels")
    yield from pod_spec(template.get("spec") or {}, "spec.template.spec")
    policy = (template.get("spec") or {}).get("restartPolicy", "Always")
    if policy != "Always":
        yield unsupported("spec.template.spec.restartPolicy", policy, ("Always",))


# ---------------------------------------------------------------- services and endpoints


def _service(service: Json, old: Json | None) -> Iterator[Cause]:
    spec = service["spec"]
    kinds = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
    if spec["type"] not in kinds:
        yield unsupported("spec.type", spec["type"], kinds)
    ports = spec.get("ports") or []
    headless = spec.get("clusterIP") == "None"
    if not ports and spec["type"] != "ExternalName" and not headless:
        yield required("spec.ports")
    if spec["type"] == "ExternalName" and not spec.get("externalName"):
        yield required("spec.externalName")
    names: set[str] = set()
    taken: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        at = f"spec.ports[{index}]"
        name = port.get("name", "")
        if not name and len(ports) > 1:
            yield required(f"{at}.name")
        elif name and (fault := objects.name_fault(name, "label")) is not None:
            yield wrong(f"{at}.name", name, fault)
        elif name and name in names:
            yield duplicate(f"{at}.name", name)
        names.add(name)
        yield from _port(port.get("port", 0), f"{at}.port")
        target = port.get("targetPort")
        if isinstance(target, str) and (fault := _port_name_fault(target)) is not None:
            yield wrong(f"{at}.targetPort", target, fault)
        yield from _port(target, f"{at}.targetPort")
        if port.get("protocol") not in ("TCP", "UDP", "SCTP"):
            yield unsupported(f"{at}.protocol", port.get("protocol"), ("SCTP", "TCP", "UDP"))
        place = (port.get("protocol"), port.get("port"))
        if place in taken:
            shown = f'{{"port":{port.get("port")},"protocol":"{port.get("protocol")}"}}'
            yield Cause(field=at, message=f"Duplicate value: {shown}", reason="FieldValueDuplicate")
        taken.add(place)
    yield from _labels(spec.get("selector"), "spec.selector")
    address = spec.get("clusterIP", "")
    if address and not headless:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            yield wrong("spec.clusterIPs[0]", address, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
    if old is not None:
        before = old["spec"].get("clusterIP", "")
        if (
            before
            and old["spec"].get("type") != "ExternalName"
            and spec["type"] != "ExternalName"
            and address != before
        ):
            yield wrong("spec.clusterIPs[0]", [address], "may not change once set")


def _endpoint_slice(endpoint_slice: Json, old: Json | None) -> Iterator[Cause]:
    kind = endpoint_slice.get("addressType", "")
    kinds = ("FQDN", "IPv4", "IPv6")
    if kind not in kinds:
        yield required("addressType") if not kind else unsupported("addressType", kind, kinds)
    elif old is not None and kind != old.get("addressType"):
        yield wrong("addressType", kind, IMMUTABLE)
    for index, endpoint in enumerate(endpoint_slice.get("endpoints") or ()):
        at = f"endpoints[{index}].addresses"
        if not endpoint.get("addresses"):
            yield required(at, "must contain at least 1 address")
        for number, address in enumerate(endpoint.get("addresses") or ()):
            version = {"IPv4": 4, "IPv6": 6}.get(kind)
            try:
                good = version is None or ipaddress.ip_address(address).version == version
            except ValueError:
                good = False
            if not good:
                yield wrong(f"{at}[{number}]", address, f"must be a valid {kind} address")


# ---------------------------------------------------------------- configuration


def _config_map(config_map: Json, old: Json | None) -> Iterator[Cause]:
    for field in ("data", "binaryData"):
        yield from _keys(config_map.get(field), field)
    if old is not None and old.get("immutable"):
        for field in ("data", "binaryData"):
            if config_map.get(field) != old.get(field):
                yield forbidden(field, "field is immutable when `immutable` is set")
        if not config_map.get("immutable"):
            yield forbidden("immutable", "field is immutable when `immutable` is set")


def _keys(data: Json | None, field: str) -> Iterator[Cause]:
    for key in data or {}:
        if not _KEY.fullmatch(key) or len(key) > 253:
            yield wrong(
                f"{field}[{key}]",
                key,
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
                "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
            )


def _secret(secret: Json, old: Json | None) -> Iterator[Cause]:
    yield from _keys(secret.get("data"), "data")
    for key, value in (secret.get("data") or {}).items():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            yield wrong(f"data[{key}]", "", "must be base64")
    if secret.get("type") == "kubernetes.io/tls":
        for key in ("tls.crt", "tls.key"):
            if key not in (secret.get("data") or {}):
                yield required(f"data[{key}]")
    if old is not None and secret.get("type") != old.get("type"):
        yield wrong("type", secret.get("type"), IMMUTABLE)
    if old is not None and old.get("immutable") and secret.get("data") != old.get("data"):
        yield forbidden("data", "field is immutable when `immutable` is set")


def _webhooks(configuration: Json, _old: Json | None) -> Iterator[Cause]:
    names: set[str] = set()
    for index, webhook in enumerate(configuration.get("webhooks") or ()):
        at = f"webhooks[{index}]"
        name = webhook.get("name", "")
        if not name:
            yield required(f"{at}.name")
        elif (fault := objects.name_fault(name, "subdomain")) is not None:
            yield wrong(f"{at}.name", name, fault)
        elif name.count(".") < 2:
            yield wrong(f"{at}.name", name, "should be a domain with at least three segments separated by dots")
        elif name in names:
            yield duplicate(f"{at}.name", name)
        names.add(name)
        if not webhook.get("admissionReviewVersions"):
            yield required(f"{at}.admissionReviewVersions", "must specify one of v1, v1beta1")
        elif not {"v1", "v1beta1"} & set(webhook["admissionReviewVersions"]):
            yield wrong(
                f"{at}.admissionReviewVersions",
                webhook["admissionReviewVersions"],
                "must include at least one of v1, v1beta1",
            )
        effects = webhook.get("sideEffects")
        if effects not in ("None", "NoneOnDryRun"):
            yield (
                required(f"{at}.sideEffects", "must specify one of None, NoneOnDryRun")
                if not effects
                else unsupported(f"{at}.sideEffects", effects, ("None", "NoneOnDryRun"))
            )
        policy = webhook.get("failurePolicy")
        if policy not in ("Fail", "Ignore"):
            yield unsupported(f"{at}.failurePolicy", policy, ("Fail", "Ignore"))
        if not 1 <= webhook.get("timeoutSeconds", 10) <= 30:
            yield wrong(
                f"{at}.timeoutSeconds", webhook["timeoutSeconds"], "the timeout value must be between 1 and 30 seconds"
            )
        client = webhook.get("clientConfig") or {}
        if ("url" in client) == ("service" in client):
            yield required(f"{at}.clientConfig", "exactly one of url or service is required")


def _binding(binding: Json, old: Json | None) -> Iterator[Cause]:
    if not (binding.get("roleRef") or {}).get("name"):
        yield required("roleRef.name")
    if old is not None and binding.get("roleRef") != old.get("roleRef"):
        yield wrong("roleRef", binding.get("roleRef"), "cannot change roleRef")


_KINDS: dict[str, Callable[[Json, Json | None], Iterator[Cause]]] = {
    "pods": _pod,
    "deployments.apps": _workload,
    "replicasets.apps": _workload,
    "services": _service,
    "endpointslices.discovery.k8s.io": _endpoint_slice,
    "configmaps": _config_map,
    "secrets": _secret,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": _webhooks,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": _webhooks,
    "rolebindings.rbac.authorization.k8s.io": _binding,
    "clusterrolebindings.rbac.authorization.k8s.io": _binding,
}

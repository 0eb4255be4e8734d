"""A pod in, the pod with its sidecar out: the pipeline of row §2.4. Pure.

Whether a pod is injected at all is `decision`'s; what is injected the templates';
this module brings them together in a fixed order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mesh_reference.injection import (
    defaults,
    gateway_template,
    metrics,
    overlays,
    patch,
    probes,
    proxy_config,
    reinjection,
    sidecar_template,
)
from mesh_reference.injection.annotations import (
    GATEWAY,
    NATIVE_SIDECAR,
    OVERRIDES,
    PROXY_CONFIG,
    REWRITE_PROBES,
    SIDECAR,
    STATUS,
    STATUS_PORT,
    AnnotationError,
    check_annotations,
    chosen_templates,
    ineffective,
)
from mesh_reference.injection.booleans import parse_bool
from mesh_reference.injection.frame import INIT, PROXY, Frame
from mesh_reference.injection.owner import Workload, owner_of
from mesh_reference.injection.pod_shape import check_pod
from mesh_reference.injection.settings import InjectionSettings
from mesh_reference.injection.templates import Rendering

Json = dict[str, Any]

_NETWORK_LABEL = "topology.istio.io/network"
_TEMPLATES: dict[str, Callable[[Frame], Rendering]] = {
    SIDECAR: sidecar_template.render,
    GATEWAY: gateway_template.render,
}
_CLUSTER_ENV, _NETWORK_ENV = "ISTIO_META_CLUSTER_ID", "ISTIO_META_NETWORK"


@dataclass(frozen=True, slots=True, kw_only=True)
class Injected:
    """The injected pod, and what to tell the user."""

    pod: Json
    warnings: tuple[str, ...] = ()


def inject(
    pod: Mapping[str, Any],
    namespace: str,
    settings: InjectionSettings,
    *,
    workload: Workload | None = None,
    environment: Mapping[str, str] | None = None,
) -> Injected:
    """The pod with its sidecar; the pod given is not changed.

    ``workload`` is the owner when the caller knows it (default: told from the pod); ``environment`` comes from the
    webhook's path and counts more than the settings. Raises `AnnotationError` and `InjectionError`.
    """
    result = _prepared(pod)
    metadata, spec = result["metadata"], result["spec"]
    check_annotations(metadata["annotations"])
    owner = workload or owner_of(pod, namespace)
    settings = _adapted(settings, environment or {}, metadata["labels"])
    config = _effective_config(settings, metadata["annotations"])
    status_port = int(metadata["annotations"].get(STATUS_PORT) or config.get("statusPort") or settings.status_port)
    reinjection.strip(result, {status_port, settings.status_port})  # Istio's metrics stay at its default
    own = {
        item["name"]: item for item in (*spec["initContainers"], *spec["containers"]) if item["name"] in {INIT, PROXY}
    }
    overrides = _kept_overrides(spec)
    frame = Frame(
        labels=metadata["labels"],
        annotations=metadata["annotations"],
        containers=spec["containers"],
        workload=owner,
        settings=settings,
        config=config,
        native=_is_native(metadata["annotations"], settings, spec),
    )
    rendering = _rendered(frame)
    init, proxy = _containers(rendering, own, transparent=frame.transparent and rendering.init is not None)
    proxy["env"] = _with_environment(proxy.get("env") or [], environment or {})
    _place(spec, frame, init, proxy)
    added = _add_volumes(spec, rendering)
    _add_sysctls(spec, rendering)
    secrets = _add_pull_secrets(spec, settings)
    _finish_metadata(metadata, rendering, settings.network, overrides)
    scraped = metrics.merge(metadata["annotations"], frame.status_port, enabled=settings.prometheus_merge)
    if scraped:
        proxy["env"].append({"name": metrics.ENV, "value": scraped})
    _rewrite_probes(spec, proxy, frame)
    metadata["annotations"][STATUS] = _status(frame, init, added, secrets)
    _settle(spec, pod["spec"], set(added))
    return Injected(pod=_trimmed(result, pod), warnings=(*_warnings(spec), *ineffective(metadata["annotations"])))


def patch_of(pod: Mapping[str, Any], injected: Injected) -> list[Json]:
    """The RFC 6902 patch that makes the injected pod of the pod."""
    return patch.difference(pod, injected.pod)


def _prepared(pod: Mapping[str, Any]) -> Json:
    """A copy as deep as injection writes: every map and list that it touches is there and its own, the rest is shared."""
    check_pod(pod)
    result: Json = dict(pod)
    metadata = result["metadata"] = dict(result.get("metadata") or {})
    for name in ("labels", "annotations"):
        metadata[name] = dict(metadata.get(name) or {})
    spec = result["spec"] = dict(result["spec"])
    for name in ("containers", "initContainers"):
        spec[name] = [_own(container) for container in spec.get(name) or ()]
    for name in ("volumes", "imagePullSecrets"):
        spec[name] = list(spec.get(name) or ())
    if spec.get("securityContext"):
        spec["securityContext"] = dict(spec["securityContext"])
    return result


def _own(container: Json) -> Json:
    """Probes are replaced in the container, hooks in its lifecycle."""
    own = dict(container)
    if own.get("lifecycle"):
        own["lifecycle"] = dict(own["lifecycle"])
    return own


def _trimmed(result: Json, pod: Mapping[str, Any]) -> Json:
    """Without the empty lists that `_prepared` made and nobody filled."""
    for name in ("initContainers", "imagePullSecrets", "containers"):
        if not result["spec"][name] and name not in (pod.get("spec") or {}):
            del result["spec"][name]
    return result


def _adapted(
    settings: InjectionSettings, environment: Mapping[str, str], labels: Mapping[str, str]
) -> InjectionSettings:
    """The pod's own network label counts most, then the webhook's path, then the settings."""
    return replace(
        settings,
        cluster_id=environment.get(_CLUSTER_ENV) or settings.cluster_id,
        network=labels.get(_NETWORK_LABEL) or environment.get(_NETWORK_ENV) or settings.network,
    )


def _effective_config(settings: InjectionSettings, annotations: Mapping[str, str]) -> Json:
    own = annotations.get(PROXY_CONFIG)
    return proxy_config.merge(settings.proxy_config, proxy_config.parse_proxy_config(own) if own else {})


def _is_native(annotations: Mapping[str, str], settings: InjectionSettings, spec: Json) -> bool:
    if chosen_templates(annotations) == [GATEWAY]:
        return False
    chosen = parse_bool(annotations.get(NATIVE_SIDECAR, ""))
    # A user who wrote istio-proxy among the init containers has chosen as well.
    overridden = any(item["name"] == PROXY for item in spec["initContainers"])
    return overridden or (settings.native_sidecar if chosen is None else chosen)


def _kept_overrides(spec: Json) -> str:
    """The user's own istio-proxy and istio-init, as JSON, for a later injection; "" without any."""
    kept = {
        field: [overlays.without_auto_image(item) for item in spec[field] if item["name"] in {INIT, PROXY}]
        for field in ("containers", "initContainers")
    }
    kept = {field: items for field, items in kept.items() if items}
    return json.dumps(kept, separators=(",", ":")) if kept else ""


def _rendered(frame: Frame) -> Rendering:
    [name] = chosen_templates(frame.annotations)
    try:
        return _TEMPLATES[name](frame)
    except ValueError as problem:
        raise AnnotationError(str(problem)) from problem


def _containers(rendering: Rendering, own: Mapping[str, Json], *, transparent: bool) -> tuple[Json | None, Json]:
    init, proxy = rendering.init, rendering.proxy
    image = proxy["image"]
    if PROXY in own:
        proxy = overlays.overlay_container(proxy, own[PROXY])
        if transparent and "runAsUser" in (own[PROXY].get("securityContext") or {}):
            proxy["securityContext"]["runAsUser"] = 0  # the one wish that cannot be met: another user has no NET_ADMIN
    if init is None:
        # Without capture an istio-init runs only if the user wrote one: his own, on the image that `auto` stands for.
        return overlays.overlay_container({"image": image}, own[INIT]) if INIT in own else None, proxy
    if INIT in own:
        init = overlays.overlay_container(init, own[INIT])
    if PROXY in own and not transparent:
        _follow_user(init, own[PROXY])
    return init, proxy


def _follow_user(init: Json, own: Json) -> None:
    """Capture lets the proxy's own traffic pass by its user id: an overridden one must be told to istio-init."""
    user = (own.get("securityContext") or {}).get("runAsUser")
    arguments = init.get("args") or []
    if user and "-u" in arguments:
        arguments[arguments.index("-u") + 1] = str(user)


def _with_environment(env: list[Json], extra: Mapping[str, str]) -> list[Json]:
    new = {name: value for name, value in extra.items() if name not in {_CLUSTER_ENV, _NETWORK_ENV}}
    kept = [entry for entry in env if entry["name"] not in new]
    return [*kept, *({"name": name, "value": new[name]} for name in sorted(new))]


def _place(spec: Json, frame: Frame, init: Json | None, proxy: Json) -> None:
    """Native: istio-init, istio-proxy, the user's init containers. Else capture starts after the user's init containers."""
    first = [init] if init is not None else []
    containers = [item for item in spec["containers"] if item["name"] not in {INIT, PROXY}]
    init_containers = [item for item in spec["initContainers"] if item["name"] not in {INIT, PROXY}]
    if frame.native:
        spec["initContainers"], spec["containers"] = [*first, proxy, *init_containers], containers
    else:
        spec["initContainers"] = [*init_containers, *first]
        spec["containers"] = [proxy, *containers] if frame.hold else [*containers, proxy]


def _add_volumes(spec: Json, rendering: Rendering) -> list[str]:
    """Appends what is missing; a user's volume of the same name stays. Answers the names added."""
    present = {volume["name"] for volume in spec["volumes"]}
    added = [volume for volume in rendering.volumes if volume["name"] not in present]
    spec["volumes"] += added
    return [volume["name"] for volume in added]


def _add_sysctls(spec: Json, rendering: Rendering) -> None:
    """Appends what is missing; a user's setting of the same name stays."""
    if rendering.sysctls:
        context = spec["securityContext"] = spec.get("securityContext") or {}
        present = context.get("sysctls") or []
        names = {entry["name"] for entry in present}
        context["sysctls"] = [*present, *(entry for entry in rendering.sysctls if entry["name"] not in names)]


def _add_pull_secrets(spec: Json, settings: InjectionSettings) -> list[str]:
    present = {secret.get("name") for secret in spec["imagePullSecrets"]}
    added = [name for name in settings.image_pull_secrets if name not in present]
    spec["imagePullSecrets"] += [{"name": name} for name in added]
    return added


def _finish_metadata(metadata: Json, rendering: Rendering, network: str, overrides: str) -> None:
    metadata["annotations"] |= rendering.annotations
    metadata["labels"] = {**rendering.labels, **metadata["labels"]}
    if network:
        metadata["labels"].setdefault(_NETWORK_LABEL, network)
    if overrides:
        metadata["annotations"][OVERRIDES] = overrides


def _rewrite_probes(spec: Json, proxy: Json, frame: Frame) -> None:
    chosen = parse_bool(frame.annotations.get(REWRITE_PROBES, ""))
    if not (frame.settings.rewrite_app_probes if chosen is None else chosen) or not frame.status_port:
        return
    originals = probes.rewrite([*spec["initContainers"], *spec["containers"]], PROXY, frame.status_port)
    if originals:
        value = json.dumps(originals, sort_keys=True, separators=(",", ":"))
        proxy["env"].append({"name": reinjection.PROBERS_ENV, "value": value})


def _settle(spec: Json, before: Mapping[str, Any], volumes: set[str]) -> None:
    """What an earlier injection brought and the API server completed stays as it is."""
    for field, ours in (("containers", {INIT, PROXY}), ("initContainers", {INIT, PROXY}), ("volumes", volumes)):
        spec[field] = defaults.settle(spec[field], before.get(field) or [], ours=ours)


def _status(frame: Frame, init: Json | None, volumes: list[str], secrets: list[str]) -> str:
    init_names = [INIT] if init is not None else []
    status = {
        "initContainers": [*init_names, PROXY] if frame.native else init_names or None,
        "containers": None if frame.native else [PROXY],
        "volumes": volumes or None,
        "imagePullSecrets": secrets or None,
        "revision": frame.settings.revision or "default",
    }
    return json.dumps(status, separators=(",", ":"))


def _warnings(spec: Json) -> tuple[str, ...]:
    policy = spec.get("dnsPolicy")
    if policy and policy != "ClusterFirst":
        return (f'DNSPolicy is "{policy}", not "ClusterFirst": the sidecar may not be able to reach the control plane',)
    return ()

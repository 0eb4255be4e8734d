"""The mesh config (ConfigMap ``istio``, key ``mesh``): parsed, checked and turned into settings. Pure.

Only the fields on which this control plane acts are known; any other one is refused,
so that nobody believes in a setting that does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mesh_reference import documents
from mesh_reference.discovery import read_selectors
from mesh_reference.errors import MeshError
from mesh_reference.injection.booleans import parse_bool
from mesh_reference.injection.native import supported
from mesh_reference.injection.proxy_config import PROXY_CONFIG, ProxyConfigError, check_proxy_config
from mesh_reference.injection.settings import InjectionSettings
from mesh_reference.model.schema.duration import SECOND, parse_duration
from mesh_reference.model.schema.shape import misfits
from mesh_reference.model.schema.types import DURATION, FLAG, TEXT, TEXTS, Choice, ListOf, MapOf, Message
from mesh_reference.settings import OutboundPolicy, Settings

Json = dict[str, Any]

CONFIG_MAP = "istio"
KEY = "mesh"

LABEL_SELECTOR = Message(
    name="LabelSelector",
    fields={
        "matchLabels": MapOf(value=TEXT),
        "matchExpressions": ListOf(
            item=Message(
                name="LabelSelectorRequirement", fields={"key": TEXT, "operator": TEXT, "values": ListOf(item=TEXT)}
            )
        ),
    },
)

MESH_CONFIG = Message(
    name="MeshConfig",
    fields={
        "accessLogFile": TEXT,
        "connectTimeout": DURATION,
        "defaultConfig": PROXY_CONFIG,
        "discoverySelectors": ListOf(item=LABEL_SELECTOR),
        "enableAutoMtls": FLAG,
        "enablePrometheusMerge": FLAG,
        "outboundTrafficPolicy": Message(
            name="OutboundTrafficPolicy", fields={"mode": Choice(names=tuple(OutboundPolicy))}
        ),
        "rootNamespace": TEXT,
        "trustDomain": TEXT,
        "trustDomainAliases": TEXTS,
    },
)


class MeshConfigError(MeshError):
    """A mesh config that is no YAML, or that has a field or value this mesh does not know."""


def parse_mesh_config(text: str, source: str = "ConfigMap istio, key mesh") -> Json:
    """The mesh config as plain data, shape checked; no document gives an empty one. Raises `MeshConfigError`."""
    try:
        found = documents.load_all(text, source)
    except documents.DocumentError as problem:
        raise MeshConfigError(f"not YAML: {problem}") from problem
    if len(found) > 1:
        raise MeshConfigError(f"{source}: line {found[1].line}: a second document; the mesh config is one")
    return check_mesh_config(found[0].value, source) if found else {}


def check_mesh_config(value: Any, source: str) -> Json:
    """The value itself when every field is known and of its type; raises `MeshConfigError`."""
    for misfit in misfits(value, MESH_CONFIG, ()):
        raise MeshConfigError(f"{source}: {documents.render(misfit.path) or 'document'}: {misfit.message}")
    config: Json = {name: item for name, item in value.items() if item is not None}
    try:
        check_proxy_config(config.get("defaultConfig") or {})
    except ProxyConfigError as problem:
        raise MeshConfigError(f"{source}: defaultConfig.{problem}") from problem
    return config


def settings_with(settings: Settings, config: Mapping[str, Any]) -> Settings:
    """The control plane's settings with what the mesh config says instead."""
    changes: Json = {}
    if "accessLogFile" in config:
        changes["access_log_path"] = config["accessLogFile"]
    if "connectTimeout" in config:
        changes["connect_timeout"] = parse_duration(config["connectTimeout"]) / SECOND
    if "enableAutoMtls" in config:
        changes["auto_mtls"] = config["enableAutoMtls"]
    if "discoverySelectors" in config:
        changes["discovery_selectors"] = read_selectors(config["discoverySelectors"])
    mode = (config.get("outboundTrafficPolicy") or {}).get("mode")
    if mode:
        changes["outbound_policy"] = OutboundPolicy(mode)
    if config.get("rootNamespace"):
        changes["root_namespace"] = config["rootNamespace"]
    if config.get("trustDomain"):
        changes |= {"trust_domain": config["trustDomain"], "mesh_id": config["trustDomain"]}
    if "trustDomainAliases" in config:
        own = changes.get("trust_domain", settings.trust_domain)
        aliases = dict.fromkeys(config["trustDomainAliases"])
        changes["trust_domain_aliases"] = tuple(alias for alias in aliases if alias != own)
    return replace(settings, **changes)


def injection_settings(
    settings: Settings,
    config: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
    kubelets: Iterable[str] = (),
) -> InjectionSettings:
    """The injector's settings: from the control plane's, the mesh config and istiod's environment.

    Variables: ``ENABLE_NATIVE_SIDECARS`` (true, false; auto: when every one of the ``kubelets`` is new enough),
    ``PROXY_IMAGE``.
    """
    variables = environment or {}
    changes: Json = {"proxy_config": config.get("defaultConfig") or {}}
    if "enablePrometheusMerge" in config:
        changes["prometheus_merge"] = config["enablePrometheusMerge"]
    native = variables.get("ENABLE_NATIVE_SIDECARS", "auto")
    chosen = supported(kubelets) if native == "auto" else parse_bool(native)
    if chosen is None:
        raise MeshConfigError(f"ENABLE_NATIVE_SIDECARS={native}: use true, false or auto")
    changes["native_sidecar"] = chosen
    if variables.get("PROXY_IMAGE"):
        changes["proxy_image"] = variables["PROXY_IMAGE"]
    return InjectionSettings.of(settings_with(settings, config), **changes)

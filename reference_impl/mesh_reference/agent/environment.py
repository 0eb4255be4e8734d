"""What the injector told the agent: environment variables and mounted files, read into one frozen value.

Pure: reading the files is the caller's part. It deliberately has no defaults
for what only the injector can know (pod, namespace, address): their absence is
an error that names the variable.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mesh_reference.agent import workload_keys
from mesh_reference.agent.workload_keys import KeyKind, KeyKindError
from mesh_reference.errors import MeshError

if TYPE_CHECKING:
    from collections.abc import Mapping

SIDECAR, ROUTER = "sidecar", "router"
"""What an Envoy is to Pilot: beside an application, or a gateway."""
EVERYWHERE, INSIDE = "0.0.0.0", "127.0.0.1"
STATUS_PORT = 15020
DEFAULT_ISTIOD = "istiod.istio-system.svc:15012"
CONFIG_ANNOTATION = "proxy.istio.io/config"
STATUS_ANNOTATION = "status.sidecar.istio.io/port"
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
TRUE_WORDS = frozenset({"1", "t", "true"})
_UNIT_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_LABEL_LINE = re.compile(r'([^=]+)=(".*")')


class AgentError(MeshError):
    """The agent cannot start or go on; the text says which setting is at fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Files and sockets inside the proxy's container (istio-semantics 2.2)."""

    token: Path = Path("/var/run/secrets/tokens/istio-token")
    root: Path = Path("/var/run/secrets/istio/root-cert.pem")
    sds_socket: Path = Path("/var/run/secrets/workload-spiffe-uds/socket")
    config_directory: Path = Path("/etc/istio/proxy")
    """Writable; holds the bootstrap and the socket of the configuration stream."""
    pod_info: Path = Path("/etc/istio/pod")
    resolver: Path = Path("/etc/resolv.conf")
    """Whom to ask for names that the mesh does not know."""
    mounted_certificates: Path = Path("/etc/certs")
    """Certificates from files, where FILE_MOUNTED_CERTS says so."""
    workload_credentials: Path = Path("/var/run/secrets/workload-spiffe-credentials")
    """Certificates from files, where the platform mounts them."""

    @property
    def xds_socket(self) -> Path:
        return self.config_directory / "XDS"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """All that the agent's rooms need to know."""

    pod_name: str
    namespace: str
    address: str
    """The pod's own IP."""
    role: str = SIDECAR
    service_account: str = "default"
    domain: str = "cluster.local"
    trust_domain: str = "cluster.local"
    cluster_id: str = "Kubernetes"
    ca_address: str = DEFAULT_ISTIOD
    """``host:port`` of the certificate service."""
    xds_address: str = DEFAULT_ISTIOD
    """``host:port`` of the configuration stream."""
    svid_ttl_seconds: float = 86400.0
    """SECRET_TTL: lifetime asked for in each CSR."""
    grace_ratio: float = 0.5
    """SECRET_GRACE_PERIOD_RATIO: share of its life left when a certificate is replaced."""
    grace_jitter: float = 0.01
    """SECRET_GRACE_PERIOD_RATIO_JITTER: spread to either side, so that not all pods renew at once (IST-ROT)."""
    key_kind: KeyKind = field(default_factory=KeyKind)
    """ECC_SIGNATURE_ALGORITHM, ECC_CURVE, WORKLOAD_RSA_KEY_SIZE: what the certificates' keys are."""
    file_mounted: bool = False
    """FILE_MOUNTED_CERTS: certificates come from files; the certificate service is not asked."""
    answers_names: bool = False
    """ISTIO_META_DNS_CAPTURE: the agent answers the application's questions for names. Gateways ask DNS themselves."""
    concurrency: int = 1
    delta_xds: bool = True
    drain_seconds: float = 5.0
    """Longest time that open requests get after SIGTERM (terminationDrainDuration)."""
    status_port: int = STATUS_PORT
    """Where health, probes and metrics are answered."""
    status_host: str = EVERYWHERE
    """Where that port listens: inside the pod alone when the pod wants no status (port 0)."""
    proxy_config: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Node metadata from ISTIO_META_* and ISTIO_METAJSON_* variables, prefix taken off."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    probers: Mapping[str, Any] = field(default_factory=dict)
    """Path below the status port: the application's own probe (ISTIO_KUBE_APP_PROBERS)."""
    prometheus: Mapping[str, str] = field(default_factory=dict)
    """The application's own scrape target (ISTIO_PROMETHEUS_ANNOTATIONS): scrape, path, port."""
    paths: Paths = field(default_factory=Paths)

    @property
    def spiffe_id(self) -> str:
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"


def read(
    environment: Mapping[str, str],
    *,
    labels: str = "",
    annotations: str = "",
    domain: str = "",
    concurrency: int | None = None,
    role: str = SIDECAR,
    paths: Paths | None = None,
) -> AgentSettings:
    """Make the settings of ``environment`` and the downward API's two files.

    A key of ``proxyMetadata`` counts as an environment variable unless the
    environment sets it; the pod's annotation ``proxy.istio.io/config`` overrides
    PROXY_CONFIG key by key. Raises AgentError.
    """
    pod_annotations = downward(annotations)
    config = _json(environment, "PROXY_CONFIG")
    if CONFIG_ANNOTATION in pod_annotations:
        config = {**config, **_yaml(pod_annotations[CONFIG_ANNOTATION])}
    variables = {**{k: str(v) for k, v in (config.get("proxyMetadata") or {}).items()}, **environment}

    def required(name: str) -> str:
        if not variables.get(name):
            raise AgentError(f"environment variable {name} is not set: the injector sets it from the pod's own fields")
        return variables[name]

    metadata: dict[str, Any] = {}
    for name, value in variables.items():
        if name.startswith("ISTIO_META_"):
            metadata[name.removeprefix("ISTIO_META_")] = value
        elif name.startswith("ISTIO_METAJSON_"):
            metadata.update(_json(variables, name))
    discovery = str(config.get("discoveryAddress") or DEFAULT_ISTIOD)
    status_port = _port(pod_annotations.get(STATUS_ANNOTATION) or str(config.get("statusPort") or STATUS_PORT))
    return AgentSettings(
        pod_name=required("POD_NAME"),
        namespace=required("POD_NAMESPACE"),
        address=required("INSTANCE_IP").split(",")[0],
        role=role,
        service_account=variables.get("SERVICE_ACCOUNT") or "default",
        domain=_cluster_domain(domain),
        trust_domain=variables.get("TRUST_DOMAIN") or "cluster.local",
        cluster_id=metadata.get("CLUSTER_ID") or "Kubernetes",
        ca_address=variables.get("CA_ADDR") or discovery,
        xds_address=discovery,
        svid_ttl_seconds=seconds(variables.get("SECRET_TTL") or "24h", "SECRET_TTL"),
        grace_ratio=_number(variables, "SECRET_GRACE_PERIOD_RATIO", 0.5),
        grace_jitter=_number(variables, "SECRET_GRACE_PERIOD_RATIO_JITTER", 0.01),
        key_kind=_key_kind(variables),
        file_mounted=variables.get("FILE_MOUNTED_CERTS", "false").lower() == "true",
        # Zero means "all cores" to Istio; beside a test's pods one worker is what the machine can give.
        concurrency=concurrency or int(config.get("concurrency") or 1),
        answers_names=role == SIDECAR and str(metadata.get("DNS_CAPTURE", "")).lower() in TRUE_WORDS,
        delta_xds=variables.get("ISTIO_DELTA_XDS", "true").lower() != "false",
        drain_seconds=seconds(config.get("terminationDrainDuration") or "5s", "terminationDrainDuration"),
        status_port=status_port or STATUS_PORT,
        status_host=EVERYWHERE if status_port else INSIDE,
        proxy_config=config,
        metadata=metadata,
        labels=downward(labels),
        annotations=pod_annotations,
        probers=_json(variables, "ISTIO_KUBE_APP_PROBERS"),
        prometheus=_json(variables, "ISTIO_PROMETHEUS_ANNOTATIONS"),
        paths=paths or Paths(),
    )


def seconds(text: str, what: str) -> float:
    """Read a duration as Go writes it (``1h30m``, ``300ms``). Raises AgentError naming ``what``."""
    total, position = 0.0, 0
    for part in _DURATION_PART.finditer(text):
        if part.start() != position:
            break
        total += float(part[1]) * _UNIT_SECONDS[part[2]]
        position = part.end()
    if not text or position != len(text) or total <= 0:
        raise AgentError(f"{what}: {text!r} is not a positive duration such as 24h, 1h30m or 300ms")
    return total


def downward(text: str) -> dict[str, str]:
    """Read a downward-API file: one ``key="value"`` a line, the value quoted as JSON quotes."""
    pairs = {}
    for line in text.splitlines():
        if match := _LABEL_LINE.fullmatch(line):
            pairs[match[1]] = json.loads(match[2])
    return pairs


def _cluster_domain(dns_suffix: str) -> str:
    """Take the namespace off ``--domain`` (``reviews-ns.svc.cluster.local`` gives ``cluster.local``)."""
    if not dns_suffix:
        return "cluster.local"
    _, found, domain = dns_suffix.partition(".svc.")
    return domain if found else dns_suffix


def _key_kind(variables: Mapping[str, str]) -> KeyKind:
    try:
        return workload_keys.read(variables)
    except KeyKindError as error:
        raise AgentError(str(error)) from error


def _json(variables: Mapping[str, str], name: str) -> dict[str, Any]:
    text = variables.get(name, "")
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except ValueError as error:
        raise AgentError(f"environment variable {name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise AgentError(f"environment variable {name} is not a JSON object")
    return value


def _port(text: str) -> int:
    if not (text.strip().isdecimal() and int(text) <= 65535):
        raise AgentError(f"annotation {STATUS_ANNOTATION}: {text!r} is not a port (0 to 65535)")
    return int(text)


def _yaml(text: str) -> dict[str, Any]:
    import yaml

    try:
        value = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise AgentError(f"annotation {CONFIG_ANNOTATION} is not YAML: {error}") from error
    if not isinstance(value, dict):
        raise AgentError(f"annotation {CONFIG_ANNOTATION} is not a mapping")
    return value


def _number(variables: Mapping[str, str], name: str, default: float) -> float:
    text = variables.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError as error:
        raise AgentError(f"environment variable {name}: {text!r} is not a number") from error
    if not 0 <= value <= 1:
        raise AgentError(f"environment variable {name}: {value} is not between 0 and 1")
    return value

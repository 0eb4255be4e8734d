"""Gateway as a typed value, its reading, and what its servers make of a VirtualService's hosts (B9, S11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mesh_reference.model import hosts
from mesh_reference.model.metadata import Metadata, read_metadata
from mesh_reference.model.protocols import Protocol, of_name
from mesh_reference.model.reading import open_spec
from mesh_reference.model.schema.gateway import GATEWAY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh_reference.model.reading import Fields

TERMINATED = frozenset({"SIMPLE", "MUTUAL", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """How a server ends TLS or hands it on. Files are paths inside the gateway's file system; versions as in the API."""

    mode: str
    redirect: bool = False
    certificate: str = ""
    key: str = ""
    ca: str = ""
    sans: tuple[str, ...] = ()
    versions: tuple[str, str] = ("TLS_AUTO", "TLS_AUTO")
    ciphers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One port of a Gateway. ``hosts`` is (namespace, host); namespace ``*`` = VirtualServices of any."""

    port: int
    name: str
    protocol: Protocol
    hosts: tuple[tuple[str, str], ...]
    tls: ServerTls | None = None

    @property
    def terminates(self) -> bool:
        """Does TLS end here, so that HTTP or bytes go on?"""
        return self.tls is not None and self.tls.mode in TERMINATED

    @property
    def is_http(self) -> bool:
        """Is HTTP read here?"""
        return self.protocol.is_http or (self.protocol is Protocol.HTTPS and self.terminates)

    def common(self, namespace: str, host: str) -> tuple[str, ...]:
        """B9: of a VirtualService's host, the names that this server takes, too."""
        found = []
        for own, pattern in self.hosts:
            if own in {"*", namespace}:
                if hosts.matches(pattern, host):
                    found.append(host)
                elif hosts.matches(host, pattern):
                    found.append(pattern)
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """One Gateway, for the pods with the labels of ``selector``."""

    meta: Metadata
    selector: tuple[tuple[str, str], ...]
    servers: tuple[Server, ...]
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As VirtualServices name it."""
        return f"{self.meta.namespace}/{self.meta.name}"

    def selects(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in self.selector)


def read_gateway(obj: Mapping[str, Any]) -> Gateway:
    """Read the resource. Raises InvalidConfig when it cannot be served."""
    meta = read_metadata(obj)
    spec, origin = open_spec(obj, GATEWAY)
    servers = tuple(server for item in spec.each("servers") if (server := _server(item, meta.namespace)) is not None)
    return Gateway(meta=meta, selector=spec.pairs("selector"), servers=servers, warnings=tuple(origin.warnings))


def _server(fields: Fields, namespace: str) -> Server | None:
    fields.unsupported("bind", "the port is taken on every address")
    port, tls = fields.fields("port"), fields.optional("tls")
    read = []
    for text in fields.texts("hosts"):
        own, slash, host = text.rpartition("/")
        read.append((namespace if own == "." else own if slash else "*", host.lower()))
    settings = _tls(tls) if tls is not None else None
    protocol = of_name(port.get("protocol", ""))
    if settings is None and tls is not None and protocol in {Protocol.HTTPS, Protocol.TLS}:
        return None
    if protocol is Protocol.AUTO:
        raise fields.invalid(f"invalid protocol {port.get('protocol', '')!r}", "port", "protocol")
    return Server(
        port=int(port.get("number", 0)), name=port.get("name", ""), protocol=protocol, hosts=tuple(read), tls=settings
    )


def _tls(fields: Fields) -> ServerTls | None:
    """None when the certificates are where this control plane does not look: then the server is left out."""
    mode = fields.get("mode", "PASSTHROUGH")
    if mode == "AUTO_PASSTHROUGH":
        fields.unsupported(
            "mode", "the server is left out: it leads from other networks to clusters, and this is one network"
        )
        return None
    for key in ("credentialName", "credentialNames", "tlsCertificates", "caCertCredentialName"):
        fields.unsupported(key, "the server is left out; name serverCertificate and privateKey, files of the gateway")
        if key in fields:
            return None
    for key in ("verifyCertificateSpki", "verifyCertificateHash", "caCrl", "insecureSkipVerify"):
        fields.unsupported(key, "the server is left out")
        if fields.get(key):
            return None
    redirect = bool(fields.get("httpsRedirect", False))
    if mode in TERMINATED - {"ISTIO_MUTUAL"} and not (fields.get("serverCertificate") and fields.get("privateKey")):
        if redirect:
            return ServerTls(mode="PASSTHROUGH", redirect=True)
        raise fields.invalid(f"{mode} needs serverCertificate and privateKey", "mode")
    return ServerTls(
        mode=mode,
        redirect=redirect,
        certificate=fields.get("serverCertificate", ""),
        key=fields.get("privateKey", ""),
        ca=fields.get("caCertificates", ""),
        sans=fields.texts("subjectAltNames"),
        versions=(fields.get("minProtocolVersion", "TLS_AUTO"), fields.get("maxProtocolVersion", "TLS_AUTO")),
        ciphers=fields.texts("cipherSuites"),
    )

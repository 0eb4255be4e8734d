"""Rules about the TLS settings of a server: of a Gateway, and of a Sidecar's ingress (row V58)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mesh_reference.documents import Path
from mesh_reference.validation.findings import Findings

Json = Mapping[str, Any]

PASSTHROUGH = frozenset({"PASSTHROUGH", "AUTO_PASSTHROUGH"})
_OWN_CERTIFICATE = frozenset({"SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"})
_SOURCES = (
    ("serverCertificate", "server certificate"),
    ("privateKey", "private key"),
    ("caCertificates", "CA bundle"),
    ("tlsCertificates", "tlsCertificates"),
    ("credentialName", "credentialName"),
    ("credentialNames", "credentialNames"),
)
_CIPHERS = frozenset(
    {
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-RSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA",
        "ECDHE-RSA-AES256-SHA",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        "AES128-SHA",
        "AES256-SHA",
        "DES-CBC3-SHA",
    }
)


def check_server_tls(out: Findings, path: Path, tls: Json | None) -> None:
    """``tls`` of a server."""
    if tls is None:
        return
    mode = tls.get("mode") or "PASSTHROUGH"
    _check_ciphers(out, path, tls)
    if mode == "ISTIO_MUTUAL":
        for name, words in _SOURCES:
            if tls.get(name):
                out.error((*path, name), "V58l", f"ISTIO_MUTUAL TLS cannot have associated {words}")
        return
    if mode in PASSTHROUGH and any(tls.get(name) for name in ("caCrl", *(name for name, _ in _SOURCES))):
        out.warning((*path, "mode"), "V58m", f"{mode} mode does not use certificates, they will be ignored")
    files = bool(tls.get("serverCertificate") and tls.get("privateKey"))
    lists = sum(tls.get(name) is not None for name in ("credentialNames", "tlsCertificates"))
    sources = files + lists + bool(tls.get("credentialName"))
    if sources > 1:
        message = (
            "only one of credential_name, credential_names, server_certificate/private_key, tls_certificates "
            "should be specified"
        )
        out.error(path, "V58n", message)
    if mode in _OWN_CERTIFICATE:
        if tls.get("credentialName") or tls.get("credentialNames"):
            return
        _check_certificates(out, path, mode, tls)
    if tls.get("caCrl"):
        if tls.get("credentialName"):
            message = "CRL is not supported with credentialName. CRL has to be specified in the credential"
            out.error((*path, "caCrl"), "V58r", message)
        if mode == "SIMPLE":
            out.error((*path, "caCrl"), "V58s", "CRL is not supported with SIMPLE TLS")


def _check_certificates(out: Findings, path: Path, mode: str, tls: Json) -> None:
    words = "SIMPLE TLS" if mode == "SIMPLE" else "MUTUAL TLS"
    if mode != "SIMPLE" and not tls.get("caCertificates"):
        out.error((*path, "caCertificates"), "V58o", f"{words} requires a client CA bundle")
    several = tls.get("tlsCertificates") or ()
    places = [((*path, "tlsCertificates", index), one) for index, one in enumerate(several)] or [(path, tls)]
    for here, certificate in places:
        if not certificate.get("serverCertificate"):
            out.error((*here, "serverCertificate"), "V58p", f"{words} requires a server certificate")
        if not certificate.get("privateKey"):
            out.error((*here, "privateKey"), "V58q", f"{words} requires a private key")


def _check_ciphers(out: Findings, path: Path, tls: Json) -> None:
    suites = tls.get("cipherSuites") or ()
    if tls.get("minProtocolVersion") in {"TLSV1_0", "TLSV1_1"} and not suites:
        out.warning(
            (*path, "minProtocolVersion"),
            "V58t",
            "TLS version below TLSV1_2 require setting compatible ciphers as by default they no longer include "
            "compatible ciphers.",
        )
    seen: set[str] = set()
    for index, suite in enumerate(suites):
        here = (*path, "cipherSuites", index)
        if suite and suite != "ALL" and suite[0].isalnum() and suite not in _CIPHERS:
            out.warning(here, "V58u", f"ignoring invalid cipher suites: {suite}")
        elif suite in seen:
            out.warning(here, "V58v", f"ignoring duplicate cipher suites: {suite}")
        seen.add(suite)

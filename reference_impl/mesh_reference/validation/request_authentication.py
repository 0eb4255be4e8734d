"""Rules about a RequestAuthentication (row VA:1597)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from mesh_reference.documents import Path
from mesh_reference.validation.findings import Findings
from mesh_reference.validation.names import check_duration, quote
from mesh_reference.validation.policy_target import check_policy_target

Json = Mapping[str, Any]

_HEADER_NAME = re.compile(r"[-_A-Za-z0-9]+")
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "k"})
_BASE64 = re.compile(r"(?:[-_+/A-Za-z0-9]{4})*(?:[-_+/A-Za-z0-9]{2,3}={0,2})?")
_CURVES = {"EC": frozenset({"P-256", "P-384", "P-521"}), "OKP": frozenset({"Ed25519", "X25519"})}
_KEY_TYPES = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "oct": ("k",)}


def check_request_authentication(out: Findings, namespace: str, metadata: Json, spec: Json) -> None:  # noqa: ARG001  one signature for all
    """All rules of ``spec``."""
    check_policy_target(out, spec)
    for index, rule in enumerate(spec.get("jwtRules") or ()):
        _check_rule(out, ("spec", "jwtRules", index), rule)


def _check_rule(out: Findings, path: Path, rule: Json) -> None:
    for name, rule_id, words in (
        ("audiences", "V62a", "audience must be non-empty string"),
        ("fromParams", "V62f", "location query must be non-empty string"),
        ("fromCookies", "V62g", "cookie name must be non-empty string"),
    ):
        for index, value in enumerate(rule.get(name) or ()):
            if not value:
                out.error((*path, name, index), rule_id, words)
    if not rule.get("issuer") and not rule.get("jwksUri") and not rule.get("jwks_uri"):
        out.error((*path, "issuer"), "V62b", "issuer or jwksUri must be non-empty string")
    sources = [name for name in ("jwksUri", "jwks_uri", "jwks") if rule.get(name) is not None]
    if len(sources) > 1:
        out.error(path, "V62k", "only one of jwks or jwksUri can be set")
    for name in ("jwksUri", "jwks_uri"):
        _check_uri(out, (*path, name), rule.get(name) or "")
    _check_keys(out, (*path, "jwks"), rule.get("jwks") or "")
    for index, location in enumerate(rule.get("fromHeaders") or ()):
        if not location.get("name"):
            out.error((*path, "fromHeaders", index, "name"), "V62e", "location header name must be non-empty string")
    for index, claim in enumerate(rule.get("outputClaimToHeaders") or ()):
        here = (*path, "outputClaimToHeaders", index)
        if not claim.get("claim") or not claim.get("header"):
            out.error(here, "V62h", "outputClaimToHeaders header and claim value must be non-empty string")
        elif not _HEADER_NAME.fullmatch(claim["header"]):
            out.error((*here, "header"), "V62i", f"header name {claim['header']} is not a valid header name")
    check_duration(out, (*path, "timeout"), rule.get("timeout"))


def _check_uri(out: Findings, path: Path, uri: str) -> None:
    if not uri:
        return
    try:
        parts = urlsplit(uri)
        _ = parts.port  # raises where the port is no number
    except ValueError as problem:
        out.error(path, "V62c", f"parse {quote(uri)}: {problem}")
        return
    if parts.scheme not in {"http", "https"}:
        out.error(path, "V62c", f"URI scheme {quote(parts.scheme)} is not supported")


def _check_keys(out: Findings, path: Path, text: str) -> None:
    if not text:
        return
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as problem:
        out.error(path, "V62d", f"jwks parse error: {problem}")
        return
    keys = parsed.get("keys") if isinstance(parsed, dict) and "keys" in parsed else [parsed]
    if not isinstance(keys, list) or not all(_is_key(key) for key in keys):
        kinds = ", ".join(_KEY_TYPES)
        out.error(path, "V62d", f'jwks parse error: want {{"keys": [...]}} with keys of the types {kinds}')
        return
    for index, key in enumerate(keys):
        if _PRIVATE & key.keys():
            out.warning(
                path,
                "V62j",
                f"jwks key at index {index} contains private key material; only public keys are used for verification",
            )


def _is_key(key: Any) -> bool:
    if not isinstance(key, dict) or key.get("kty") not in _KEY_TYPES:
        return False
    for name in _KEY_TYPES[key["kty"]]:
        value = key.get(name)
        if not isinstance(value, str) or not value:
            return False
        if value not in _CURVES[key["kty"]] if name == "crv" else not _BASE64.fullmatch(value):
            return False
    return True

"""One webhook called over HTTPS: where it is, whether its certificate may be trusted, and what it sent back.

A Service is resolved to one of its ready endpoints. Failure policies are ``admission``'s business.
"""

from __future__ import annotations

import base64
import binascii
import functools
import io
import json
import secrets
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import yarl

from pytest_mesh.clusters.local.apiserver import endpoints

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.store import Store
    from pytest_mesh.clusters.local.apiserver.webhooks.matching import Webhook
    from pytest_mesh.contracts import Json

USER_AGENT = "kube-apiserver-admission"

# OpenSSL's codes for a chain that ends in no trusted root.
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21})
_OUT_OF_DATE = frozenset({9, 10})


class CallError(Exception):
    """A webhook could not be asked; the text is the reason as kube-apiserver words it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to send a review. ``shown`` is the URL for people, ``url`` the one that is dialled."""

    shown: str
    url: yarl.URL
    host: str
    server_name: str


async def call(webhook: Webhook, review: Json, store: Store) -> Any:
    """Send a review and give the decoded answer; raises CallError, also after the webhook's ``timeoutSeconds``."""
    config = webhook.spec.get("clientConfig") or {}
    target = locate(config, webhook.timeout, store)
    headers = {
        "Host": target.host,
        "User-Agent": USER_AGENT,
        "Accept": "application/json, */*",
        "Content-Type": "application/json",
    }
    body = json.dumps(review, separators=(",", ":")).encode()
    timeout = aiohttp.ClientTimeout(total=webhook.timeout)
    try:
        async with (
            # A connection per call: the Pod behind an address may be another one next time.
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True), timeout=timeout) as session,
            session.post(
                target.url,
                data=io.BytesIO(body),  # plain bytes beyond a mebibyte are warned of
                headers=headers,
                ssl=_trust(config.get("caBundle") or ""),
                server_hostname=target.server_name,
                allow_redirects=False,
            ) as response,
        ):
            content = await response.read()
            status = response.status
    except TimeoutError as error:
        raise CallError(f'failed to call webhook: Post "{target.shown}": context deadline exceeded') from error
    except (aiohttp.ClientError, OSError) as error:
        reason = _reason(error, target)
        raise CallError(f'failed to call webhook: Post "{target.shown}": {reason}') from error
    return _decode(status, content)


def locate(config: Json, timeout: int, store: Store) -> Target:
    """Find where a ``clientConfig`` leads; raises CallError."""
    service = config.get("service")
    if service is None:
        if not config.get("url"):
            raise CallError("could not get REST client: webhook configuration must have either service or URL")
        url = yarl.URL(config["url"])
        shown = url.update_query(timeout=f"{timeout}s")
        return Target(shown=str(shown), url=shown, host=url.authority, server_name=url.host or "")
    namespace, name, port = service["namespace"], service["name"], int(service.get("port") or 443)
    server_name = f"{name}.{namespace}.svc"
    path = "/" + (service.get("path") or "").lstrip("/")
    shown_url = yarl.URL(f"https://{server_name}:{port}{path}").update_query(timeout=f"{timeout}s")
    shown_text = f"https://{server_name}:{port}{shown_url.raw_path_qs}"
    try:
        address, target_port = resolve(store, namespace, name, port)
    except LookupError as error:
        raise CallError(f'failed to call webhook: Post "{shown_text}": {error.args[0]}') from error
    dialled = shown_url.with_host(address).with_port(target_port)
    return Target(shown=shown_text, url=dialled, host=f"{server_name}:{port}", server_name=server_name)


def resolve(store: Store, namespace: str, name: str, port: int) -> tuple[str, int]:
    """Give address and port of a ready endpoint of a Service's port (a number); raises LookupError with the reason."""
    service = store.get("services", namespace, name)
    if service is None:
        raise LookupError(f'service "{name}" not found')
    if service["spec"].get("type") == "ExternalName":
        raise LookupError(f'service "{name}" is of type ExternalName, which the embedded cluster does not resolve')
    ports = service["spec"].get("ports") or ()
    found = next((one for one in ports if one["port"] == port), None)
    if found is None:
        raise LookupError(f'no service port {port} found for service "{name}"')
    ready = endpoints.ready(store, namespace, name, found.get("name") or "")
    if not ready:
        raise LookupError(f'no endpoints available for service "{name}"')
    chosen = secrets.choice(ready)
    return chosen.address, chosen.port


@functools.lru_cache(maxsize=64)
def _trust(bundle: str) -> ssl.SSLContext:
    """Make the TLS context that trusts a ``caBundle`` (base64 of PEM), or the system's roots without one."""
    if not bundle:
        return ssl.create_default_context()
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=base64.b64decode(bundle).decode("ascii"))
    except (binascii.Error, UnicodeDecodeError, ssl.SSLError) as error:
        raise CallError(
            "could not get REST client: unable to load root certificates: unable to parse bytes as PEM block"
        ) from error
    return context


def _reason(error: Exception, target: Target) -> str:
    """Word a failure as Go's net/http and crypto/tls do."""
    cause: BaseException = error
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"tls: failed to verify certificate: x509: {_distrust(cause, target)}"
    if isinstance(cause, ConnectionRefusedError):
        return f"dial tcp {target.url.host}:{target.url.port}: connect: connection refused"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "EOF"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"dial tcp {target.url.host}:{target.url.port}: {cause}"
    return str(error) or type(error).__name__


def _distrust(error: ssl.SSLCertVerificationError, target: Target) -> str:
    if error.verify_code in _UNKNOWN_AUTHORITY:
        return "certificate signed by unknown authority"
    if error.verify_code in _OUT_OF_DATE:
        return f"certificate has expired or is not yet valid: {error.verify_message}"
    if "mismatch" in error.verify_message:
        return f"certificate is not valid for any names, but wanted to match {target.server_name}"
    return error.verify_message


def _decode(status: int, content: bytes) -> Any:
    if status == 404:
        raise CallError("failed to call webhook: the server could not find the requested resource")
    if not 200 <= status < 300:
        text = content[:2048].decode("utf-8", "replace").strip()
        if status >= 500:
            raise CallError(
                f"failed to call webhook: an error on the server ({json.dumps(text or 'unknown')}) has prevented the "
                "request from succeeding"
            )
        raise CallError(f"failed to call webhook: the server answered {status}: {text or 'unknown'}")
    try:
        return json.loads(content)
    except ValueError as error:
        raise CallError(f"failed to call webhook: couldn't get version/kind; json parse error: {error}") from error

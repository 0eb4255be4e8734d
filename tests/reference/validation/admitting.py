"""An API server that asks Galley: the embedded one on a loopback port, with the mesh's definitions and its webhook over TLS.

No node and no pods. What is posted is a dry run: nothing is kept.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_reference import manifests
from mesh_reference.injection.settings import InjectionSettings
from mesh_reference.model import crds
from mesh_reference.model.schema import kinds
from mesh_reference.webhooks.server import application
from pytest_mesh.clusters.local.apiserver import __main__ as program
from pytest_mesh.clusters.local.apiserver import first_objects, front

Json = dict[str, Any]

NAMESPACE = "shop"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
PLURALS = {kind.kind: kind.plural for kind in kinds.KINDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """An API server by its URL and a session that holds its credentials."""

    url: str
    session: requests.Session

    def post(self, path: str, body: Json, **params: str) -> tuple[int, Json]:
        """HTTP status and decoded answer."""
        answer = self.session.post(self.url + path, json=body, params=params, timeout=30)
        return answer.status_code, answer.json()

    def create(self, document: Json) -> tuple[int, Json]:
        """What `kubectl create --dry-run=server` does with a document."""
        group, plural = document["apiVersion"], PLURALS[document["kind"]]
        path = f"/apis/{group}/namespaces/{NAMESPACE}/{plural}"
        return self.post(path, document, dryRun="All", fieldValidation="Strict")


@contextlib.contextmanager
def admitting(folder: Path) -> Iterator[Api]:
    """The API server, in a thread of its own, for as long as the context lasts."""
    box: Json = {}
    ready = threading.Event()

    async def main() -> None:
        box["stop"], box["loop"] = asyncio.Event(), asyncio.get_running_loop()
        try:
            async with _served(folder) as box["address"]:
                ready.set()
                await box["stop"].wait()
        finally:
            ready.set()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        assert ready.wait(20)
        url, token, hook = box["address"]
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = f"Bearer {token}"
            api = Api(url=url, session=session)
            install(api, hook)
            yield api
    finally:
        box["loop"].call_soon_threadsafe(box["stop"].set)
        thread.join(10)
    assert not thread.is_alive()


def install(api: Api, hook: Json) -> None:
    """The namespace, the definitions, and the webhook configuration of the manifests, led to ``hook``."""
    assert api.post("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})[0] == 201
    for definition in crds.definitions():
        status, answer = api.post(DEFINITIONS, definition)
        assert status == 201, answer
    objects = manifests.objects(manifests.Installation())
    (configuration,) = (one for one in objects if one["kind"] == "ValidatingWebhookConfiguration")
    for webhook in configuration["webhooks"]:
        webhook["clientConfig"] = hook
    status, answer = api.post(WEBHOOKS, configuration)
    assert status == 201, answer


@contextlib.asynccontextmanager
async def _served(folder: Path) -> AsyncIterator[tuple[str, str, Json]]:
    async with galley_served(folder) as hook:
        server = program._assemble(argparse.Namespace(run_dir=folder, node_address="10.244.0.1"))
        runner = front.runner(server, shutdown_timeout=0.1)
        await runner.setup()
        await first_objects.create(server, port=6443)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", server.authenticator.admin_token, hook
        server.store.stop()
        await runner.cleanup()


@contextlib.asynccontextmanager
async def galley_served(folder: Path) -> AsyncIterator[Json]:
    """The webhooks' own application over TLS; gives the ``clientConfig`` that leads there."""
    certificate, both = _certificate()
    (folder / "webhook.pem").write_bytes(both)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "webhook.pem")
    runner = web.AppRunner(application(InjectionSettings), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}/validate"
    yield {"url": url, "caBundle": base64.b64encode(certificate).decode()}
    await runner.cleanup()


def _certificate() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "galley")])
    now = dt.datetime.now(dt.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - dt.timedelta(days=1), now + dt.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    form = serialization.PrivateFormat.PKCS8
    return certificate, certificate + key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())

"""A webhook in a process of the test's own, the objects that it is asked about, and how the tests of admission ask."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo
from pytest_mesh.clusters.local.apiserver.users import ADMIN

PODS = ResourceInfo(group="", version="v1", plural="pods", kind="Pod")
NAMESPACES = ResourceInfo(group="", version="v1", plural="namespaces", kind="Namespace", namespaced=False)
CONFIG_MAPS = ResourceInfo(group="", version="v1", plural="configmaps", kind="ConfigMap")
ROUTES_V1 = ResourceInfo(group="net.example", version="v1", plural="routes", kind="Route", custom=True)
ROUTES_BETA = ResourceInfo(group="net.example", version="v1beta1", plural="routes", kind="Route", custom=True)
HOOKS = ResourceInfo(
    group="admissionregistration.k8s.io",
    version="v1",
    plural="mutatingwebhookconfigurations",
    kind="MutatingWebhookConfiguration",
    namespaced=False,
)
ALL = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}


@dataclass
class Hook:
    """A webhook server that answers by path, and what it was asked."""

    port: int
    bundle: str
    asked: list = field(default_factory=list)
    answers: dict = field(default_factory=dict)

    def configure(self, store, *specs, mutating=True, name="hooks"):
        kind = "mutating" if mutating else "validating"
        webhooks = [
            {
                "name": f"h{index}.example",
                "clientConfig": {"url": f"https://127.0.0.1:{self.port}/{index}", "caBundle": self.bundle},
                "rules": [ALL],
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                **spec,
            }
            for index, spec in enumerate(specs or ({},))
        ]
        store.put(
            f"{kind}webhookconfigurations.admissionregistration.k8s.io",
            {"metadata": {"name": name}, "webhooks": webhooks},
        )

    @property
    def paths(self):
        return [path for path, _ in self.asked]

    def request(self, at=0):
        return self.asked[at][1]["request"]


def allow(review, **more):
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": review["request"]["uid"], "allowed": True, **more},
    }


def patching(*operations):
    def answer(review):
        patch = base64.b64encode(json.dumps(operations).encode()).decode()
        return allow(review, patch=patch, patchType="JSONPatch")

    return answer


def add_label(key, value="yes"):
    return patching({"op": "add", "path": f"/metadata/labels/{key}", "value": value})


def denying(**status):
    return lambda review: allow(review, allowed=False, **({"status": status} if status else {}))


@asynccontextmanager
async def serving(authority, names=(), addresses=("127.0.0.1",)):
    pair = authority.server_certificate(dns_names=names, addresses=addresses)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load(context, pair)
    hook = Hook(port=0, bundle=base64.b64encode(authority.pem).decode())

    async def handle(request):
        review = await request.json()
        hook.asked.append((request.path, review))
        hook.timeout = request.query.get("timeout")
        hook.host = request.host
        answer = hook.answers.get(request.path, allow)(review)
        return answer if isinstance(answer, web.Response) else web.json_response(answer)

    app = web.Application()
    app.router.add_post("/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    hook.port = runner.addresses[0][1]
    try:
        yield hook
    finally:
        await runner.cleanup()


def load(context, pair):
    with tempfile.NamedTemporaryFile() as file:
        file.write(pair.certificate + pair.key)
        file.flush()
        context.load_cert_chain(file.name)


def pod(**meta):
    metadata = {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}, **meta}
    containers = [{"name": "app", "image": "x"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}


def config_map(**labels):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop", "labels": labels}}


async def admit(admission, obj, resource=CONFIG_MAPS, operation="CREATE", *, old=None, dry_run=False, sub=""):
    known = obj or old
    return await admission.admit(
        operation,
        resource,
        obj,
        old,
        namespace=known["metadata"].get("namespace", ""),
        name=known["metadata"].get("name", ""),
        user=ADMIN,
        dry_run=dry_run,
        subresource=sub,
    )


def with_hook(authority, check, **serving_options):
    async def main():
        async with asyncio.timeout(20), serving(authority, **serving_options) as hook:
            return await check(hook)

    return asyncio.run(main())

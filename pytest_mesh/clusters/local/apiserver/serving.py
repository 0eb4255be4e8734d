"""Every request that is no stream, and what is served to nobody in particular.

Who asks and whether they may is ``front``'s, what a request means ``requests``', what it does the other modules'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from pytest_mesh.clusters.local.apiserver import (
    deleting,
    discovery,
    errors,
    openapi,
    openapi2,
    reading,
    requests,
    reviews,
    subresources,
    tokens,
    watching,
    writing,
)
from pytest_mesh.clusters.local.apiserver.errors import StatusError
from pytest_mesh.clusters.local.apiserver.users import UserInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_mesh.clusters.local.apiserver.requests import Target
    from pytest_mesh.clusters.local.apiserver.server import Server
    from pytest_mesh.contracts import Json

VERSION = {
    "major": "1",
    "minor": "34",
    "emulationMajor": "1",
    "emulationMinor": "34",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "33",
    "gitVersion": "v1.34.4",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "none (pytest-mesh)",
    "compiler": "none",
    "platform": "linux/amd64",
}
"""``/version``: the Kubernetes release whose API this is. Official clients refuse an answer without one of these fields."""

USER: web.RequestKey[UserInfo] = web.RequestKey("user", UserInfo)
"""Where a request's authenticated user is kept."""


def answer(body: bytes | Json, status: int = 200, warnings: Sequence[str] = ()) -> web.Response:
    """Give a JSON response with Kubernetes' warning headers."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    response = web.Response(body=data, status=status, content_type="application/json")
    for warning in warnings:
        plain = warning.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        response.headers.add("Warning", f'299 - "{plain}"')
    return response


def _decoded(target: Target, body: bytes, content_type: str, options: requests.WriteOptions) -> Json:
    """Read an object; raises StatusError 400 for fields that stand there twice where that is to be refused."""
    info = target.info
    wanted = {"scale": "Scale", "token": "TokenRequest", "eviction": "Eviction", "binding": "Binding"}.get(
        target.subresource, info.kind
    )
    twice: list[str] | None = [] if options.validation == "Strict" else None
    obj = requests.read_object(body, content_type, wanted, twice=twice)
    if twice:
        why = "strict decoding error: " + ", ".join(f'duplicate field "{path}"' for path in twice)
        raise errors.bad_request(f'{info.kind} in version "{info.version}" cannot be handled as a {info.kind}: {why}')
    return obj


class _Outlet:
    """A chunked answer's connection, written to without a task's turn for each chunk."""

    def __init__(self, request: web.Request) -> None:
        if request.transport is None:
            raise ConnectionResetError("the client has gone")
        self._transport = request.transport
        self._transport.set_write_buffer_limits(high=watching.LAG)
        self._drain = request.writer.drain

    def write(self, data: bytes) -> None:
        if data and not self._transport.is_closing():
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def waiting(self) -> int:
        # A TLS connection that was closed twice has lost its buffer.
        return 0 if self._transport.is_closing() else self._transport.get_write_buffer_size()

    async def drain(self) -> None:
        await self._drain()

    def abort(self) -> None:
        self._transport.abort()


class Dispatcher:
    """Takes every request that is no stream."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._documents: dict[tuple[str, int], bytes] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one request."""
        path = request.path.rstrip("/")
        if path.startswith(("/api/", "/apis/")) and path.count("/") >= (3 if path.startswith("/api/") else 4):
            if path.startswith("/apis/") and not self._knows(path):
                raise errors.no_page()
            return await self._resource(request, requests.parse_path(path, self._server.registry))
        if request.method not in ("GET", "HEAD") and not (path in ("/api", "/apis") and request.method == "DELETE"):
            known = self._maker(path) is not None or path == "/version"
            raise errors.method_not_allowed() if known else errors.no_page()
        return self._document(request, path)

    def _knows(self, path: str) -> bool:
        group = path.split("/")[2]
        return any(info.group == group for info in self._server.registry.all())

    # ------------------------------------------------------------ documents

    def _document(self, request: web.Request, path: str) -> web.Response:
        if path in ("/healthz", "/livez", "/readyz", "/healthz/ping", "/livez/ping", "/readyz/ping"):
            name = path.split("/")[1]
            return web.Response(text=f"[+]ping ok\n{name} check passed\n" if "verbose" in request.query else "ok")
        if path == "/version":
            return answer(dict(VERSION))
        registry = self._server.registry
        accept = request.headers.get("Accept", "")
        if path in ("/api", "/apis") and "as=APIGroupDiscoveryList" in accept and "v=v2" not in accept:
            if not any(one.strip() in ("application/json", "*/*") for one in accept.split(",")):
                raise errors.not_acceptable(f"application/json, application/yaml, {requests.PROTOBUF}")
        elif path in ("/api", "/apis") and "as=APIGroupDiscoveryList" in accept:
            data = self._cached(f"{path} v2", lambda: discovery.aggregated(registry, core=path == "/api"))
            response = answer(data)
            response.headers["Content-Type"] = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            return response
        if path == "/openapi/v2" and (kind := openapi2.protobuf_type(accept)):
            packed = self._cached(kind, lambda: openapi2.document(registry), openapi2.packed)
            return web.Response(body=packed, headers={"Content-Type": kind})
        make = self._maker(path)
        if make is None and path.startswith("/openapi/v3/"):
            return web.Response(status=404)
        if make is None:
            # A version of a group that there is has a handler of its own; for all else there is none.
            raise errors.no_such_path() if path.count("/") == 2 and path.startswith("/api/") else errors.no_page()
        return answer(self._cached(path, make))

    def _maker(self, path: str) -> Callable[[], Json] | None:
        registry = self._server.registry
        if path == "/api":
            return lambda: discovery.legacy_versions(f"{self._server.node_address}:6443")
        if path == "/apis":
            return lambda: discovery.group_list(registry)
        if path == "/.well-known/openid-configuration":
            return lambda: tokens.discovery_document(f"https://{self._server.node_address}:6443")
        if path == "/openid/v1/jwks":
            return self._server.authenticator.signer.jwks
        if path == "/openapi/v3":
            return lambda: openapi.index(registry)
        if path == "/openapi/v2":
            return lambda: openapi2.document(registry)
        if path == "":
            return lambda: {
                "paths": [
                    "/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v3",
                    "/openid/v1/jwks", "/readyz", "/version",
                ]
            }  # fmt: skip
        parts = path.strip("/").split("/")
        if parts[:2] == ["openapi", "v3"]:
            group, version = ("", parts[3]) if parts[2:3] == ["api"] and len(parts) == 4 else (
                (parts[3], parts[4]) if parts[2:3] == ["apis"] and len(parts) == 5 else ("", "")
            )  # fmt: skip
            document = openapi.document(registry, group, version) if version else None
        elif parts[0] == "api" and len(parts) == 2:
            document = discovery.resource_list(registry, "", parts[1])
        elif parts[0] == "apis" and len(parts) == 3:
            document = discovery.resource_list(registry, parts[1], parts[2])
        elif parts[0] == "apis" and len(parts) == 2:
            versions = discovery.groups(registry).get(parts[1])
            head = {"kind": "APIGroup", "apiVersion": "v1"}
            document = None if versions is None else {**head, **discovery.group(parts[1], versions)}
        else:
            return None
        found = document
        return None if found is None else lambda: found

    def _cached(self, name: str, make: Callable[[], Json], write: Callable[[Json], bytes] = orjson.dumps) -> bytes:
        key = (name, self._server.registry.generation)
        data = self._documents.get(key)
        if data is None:
            if any(known[1] != key[1] for known in self._documents):
                self._documents.clear()
            data = self._documents[key] = write(make())
        return data

    # ------------------------------------------------------------ resources

    async def _resource(self, request: web.Request, target: Target) -> web.StreamResponse:
        method = request.method
        if method in ("GET", "HEAD"):
            return await self._read(request, target)
        if method not in ("POST", "PUT", "PATCH", "DELETE"):
            raise errors.method_not_allowed()
        content_type = request.headers.get("Content-Type", "")
        options = requests.write_options(
            method, content_type, request.query, request.headers.get("User-Agent", ""), request[USER]
        )
        body = await request.read()
        if method == "POST":
            return await self._post(target, _decoded(target, body, content_type, options), options)
        if method == "DELETE":
            return await self._delete(request, target, body, options)
        if not target.name or "update" not in target.info.verbs:
            raise errors.method_not_allowed()
        if target.subresource == "scale":
            given = (
                _decoded(target, body, content_type, options)
                if method == "PUT"
                else requests.read_patch(body, content_type)
            )
            kind = content_type if method == "PATCH" else None
            scale, warnings = await subresources.change_scale(self._server, target, given, kind, options)
            return answer(scale, 200, warnings)
        if target.subresource not in ("", "status", "finalize"):
            raise errors.method_not_allowed()
        if method == "PUT":
            written = await writing.replace(
                self._server, target, _decoded(target, body, content_type, options), options
            )
        else:
            patch = requests.read_patch(body, content_type)
            written = await writing.patch(self._server, target, patch, content_type, options)
        return answer(written.obj, 201 if written.created else 200, written.warnings)

    async def _read(self, request: web.Request, target: Target) -> web.StreamResponse:
        query = request.query
        if target.subresource == "scale":
            return answer(subresources.scale(self._server, target))
        if target.subresource not in ("", "status") or "get" not in target.info.verbs:
            raise errors.method_not_allowed()
        form = reading.form_of(request.headers.get("Accept", ""))
        if requests.is_true(query.get("watch", "")) and not target.name:
            return await self._watch(request, watching.Watch(self._server, target, form, query))
        if target.name:
            return answer(reading.get(self._server, target, form, query))
        return answer(reading.collect(self._server, target, form, query))

    @staticmethod
    async def _watch(request: web.Request, watch: watching.Watch) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_type = "application/json"
        response.enable_chunked_encoding()
        await response.prepare(request)
        outlet = _Outlet(request)
        try:
            await watch.run(outlet)
        except ConnectionError:
            # The client has gone: that is how watches end.
            return response
        except TimeoutError:
            outlet.abort()
            return response
        if outlet.waiting() > watching.LAG:
            # It lagged so far that it would not read why.
            outlet.abort()
        else:
            await response.write_eof()
        return response

    async def _post(self, target: Target, body: Json, options: requests.WriteOptions) -> web.Response:
        info = target.info
        if target.subresource in subresources.POSTED:
            obj, warnings = await subresources.post(self._server, target, body, options)
            return answer(obj, 201, warnings)
        if target.name or "create" not in info.verbs:
            raise errors.method_not_allowed()
        if info.plural in reviews.KINDS:
            review, warnings = reviews.answer(self._server, target, body, options)
            return answer(review, 201, warnings)
        if info.namespaced and not target.namespace:
            raise errors.no_page() if info.custom else errors.method_not_allowed()
        written = await writing.create(self._server, target, body, options)
        return answer(written.obj, 201, written.warnings)

    async def _delete(
        self, request: web.Request, target: Target, body: bytes, options: requests.WriteOptions
    ) -> web.Response:
        asked = deleting.read_options(body, request.headers.get("Content-Type", ""))
        query = request.query
        for name in ("propagationPolicy",):
            if name in query:
                asked[name] = query[name]
        if (grace := requests.number(query, "gracePeriodSeconds")) is not None:
            asked["gracePeriodSeconds"] = grace
        if asked.get("dryRun"):
            options = requests.WriteOptions(user=options.user, manager=options.manager, dry_run=True)
        if target.subresource or "delete" not in target.info.verbs:
            raise errors.method_not_allowed()
        if target.name:
            obj, warnings = await deleting.delete(self._server, target, asked, options)
            return answer(obj, 200, warnings)
        obj, warnings = await self._delete_collection(request, target, asked, options)
        return answer(obj, 200, warnings)

    async def _delete_collection(
        self, request: web.Request, target: Target, asked: Json, options: requests.WriteOptions
    ) -> tuple[Json, list[str]]:
        info, store = target.info, self._server.store
        if "deletecollection" not in info.verbs or (info.namespaced and not target.namespace):
            raise errors.method_not_allowed()
        wanted = reading.predicate(info, request.query)
        found: list[Json] = []
        warnings: list[str] = []
        for item in store.items(info.key, target.namespace):
            if wanted is not None and not wanted(item.obj):
                continue
            one = requests.Target(info=info, namespace=item.namespace, name=item.name, subresource="")
            try:
                _, more = await deleting.delete(self._server, one, dict(asked), options)
            except StatusError as error:
                if error.code != 404:
                    raise
            else:
                found.append(item.obj)
                warnings += more
        head: Json = {"kind": info.list_kind, "apiVersion": info.api_version}
        return {**head, "metadata": {"resourceVersion": str(store.version)}, "items": found}, warnings

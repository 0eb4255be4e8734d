"""The Kubernetes API as the plugin uses it: raw JSON over the official client's configuration and pool.

The one module of the plugin that imports ``kubernetes``, and only when a client
is made. It holds no state of objects and it never retries.
"""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pytest_mesh.contracts import Json
from pytest_mesh.failures import Infrastructure, hidden
from pytest_mesh.tenancy import Tenancy
from pytest_mesh.workloads.http1 import Message, MessageReader

__tracebackhide__ = hidden

FIELD_MANAGER = "pytest-mesh"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
DATA = b"\x00"
"""Channel of a port-forward's data; the next one is for errors."""


class KubeError(Exception):
    """An answer that is an error: the API's Status, in one line."""

    def __init__(self, status: int, reason: str, message: str, where: str) -> None:
        super().__init__(f"{message} ({where}: {status} {reason})")
        self.status = status
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Where objects of one kind live."""

    prefix: str
    """``/api/v1`` or ``/apis/GROUP/VERSION``."""
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        """Give the path of an object, or of the collection when ``name`` is empty."""
        middle = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{self.prefix}{middle}/{self.plural}" + (f"/{name}" if name else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What a command in a container left behind."""

    output: str
    errors: str
    code: int

    @property
    def ok(self) -> bool:
        """Whether its exit code was 0."""
        return self.code == 0


class Kube:
    """A client of one API server; safe to use from several threads."""

    def __init__(self, api_client: Any) -> None:
        self._client = api_client
        self._configuration = api_client.configuration
        self._pool = api_client.rest_client.pool_manager
        self._resources: dict[tuple[str, str], Resource] = {}
        self.tenancy: Tenancy | None = None
        """Rules of the cluster's owner, for namespaces that are made; None on a cluster of the run's own."""
        self._guarded = False
        self._lock = threading.Lock()

    @classmethod
    def load(cls, kubeconfig: Path | None = None, context: str | None = None) -> Kube:
        """Read a kubeconfig (None = kubectl's own, else the pod's service account); raises ``Infrastructure``."""
        import kubernetes

        client: Any = kubernetes.client
        config: Any = kubernetes.config
        try:
            if kubeconfig is None and not context:
                config.load_config()
                return cls(client.ApiClient())
            api_client = config.new_client_from_config(
                str(kubeconfig) if kubeconfig else None, context=context or None, persist_config=False
            )
        except (config.ConfigException, OSError) as error:
            raise Infrastructure(f"kubeconfig {kubeconfig or '(default)'}: {error}") from error
        return cls(api_client)

    def within(self, tenancy: Tenancy, *, guarded: bool) -> Kube:
        """Give a client that keeps to a tenancy; ``guarded`` = it also changes nothing that is not the run's own."""
        inside = Kube(self._client)
        inside.tenancy, inside._guarded = tenancy, guarded
        return inside

    # ------------------------------------------------------------ requests

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        seconds: float = 30.0,
    ) -> bytes:
        """Send one request; give the answer's body. Raises :class:`KubeError` or ``Infrastructure``."""
        answer = self._send(method, path, body, params, content_type, seconds, stream=False)
        return bytes(answer.data)

    def _send(
        self,
        method: str,
        path: str,
        body: Any,
        params: Mapping[str, str] | None,
        content_type: str,
        seconds: float,
        *,
        stream: bool,
    ) -> Any:
        import urllib3

        if self._guarded and self.tenancy is not None:
            self.tenancy.check(method, path, body, params or {})
        url = self._configuration.host.rstrip("/") + path + (f"?{urlencode(params)}" if params else "")
        headers = {"accept": "application/json"}
        token = self._token()
        if token:
            headers["authorization"] = token
        data = None
        if body is not None:
            headers["content-type"] = content_type
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            answer = self._pool.request(
                method,
                url,
                body=data,
                headers=headers,
                timeout=urllib3.Timeout(connect=10.0, read=seconds),
                retries=False,
                preload_content=not stream,
            )
        except urllib3.exceptions.HTTPError as error:
            raise Infrastructure(f"no answer from the API server at {self._configuration.host}: {error}") from error
        if answer.status >= 400:
            raise _error(answer.status, bytes(answer.data), f"{method} {path}")
        return answer

    def _token(self) -> str | None:
        try:
            with self._lock:  # the refresh hook of exec plugins is not safe for threads
                token: str | None = self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        except Exception as error:  # token files, exec plugins and their JSON: no common root
            raise Infrastructure(
                f"no credentials for the API server at {self._configuration.host}: {type(error).__name__}: {error}"
            ) from error
        return token

    def json(self, method: str, path: str, **options: Any) -> Json:
        """Send one request; give the answer's JSON."""
        answer: Json = json.loads(self.request(method, path, **options) or b"{}")
        return answer

    # ------------------------------------------------------------ objects

    def resource(self, api_version: str, kind: str) -> Resource:
        """Find where a kind lives; raises :class:`KubeError` 404 when the API server does not serve it."""
        found = self._resources.get((api_version, kind))
        if found is None:
            prefix = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
            try:
                listed = self.json("GET", prefix).get("resources", ())
            except KubeError as error:
                if error.status != 404:
                    raise
                listed = ()
            for item in listed:
                if "/" not in item["name"]:
                    self._resources[api_version, item["kind"]] = Resource(
                        prefix=prefix, plural=item["name"], namespaced=item["namespaced"]
                    )
            found = self._resources.get((api_version, kind))
        if found is None:
            raise KubeError(404, "NotFound", f"the API server does not serve {kind} of {api_version}", "discovery")
        return found

    def apply(self, document: Json, *, namespace: str = "", dry_run: bool = False, strict: bool = True) -> Json:
        """Server-side apply a document, into ``namespace`` where it names none.

        ``strict`` has the server refuse fields that the kind does not know (as ``kubectl apply``), not drop them.
        """
        resource = self.resource(document["apiVersion"], document["kind"])
        metadata = document["metadata"]
        path = resource.path(metadata.get("namespace") or namespace or "default", metadata["name"])
        params = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Strict" if strict else "Warn"}
        if dry_run:
            params["dryRun"] = "All"
        return self.json("PATCH", path, body=document, params=params, content_type=APPLY)

    def get(self, path: str, **params: str) -> Json:
        """Give one object."""
        return self.json("GET", path, params=params)

    def find(self, path: str) -> Json | None:
        """Give one object, or None when there is none."""
        try:
            return self.json("GET", path)
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    def list(self, path: str, **params: str) -> list[Json]:
        """Give a collection's objects."""
        items: list[Json] = self.json("GET", path, params=params).get("items") or []
        return items

    def create(self, path: str, body: Json, **params: str) -> Json:
        """Create an object in a collection."""
        return self.json("POST", path, body=body, params=params)

    def delete(self, path: str, **params: str) -> None:
        """Delete an object; one that is not there is no error."""
        try:
            self.request("DELETE", path, params=params)
        except KubeError as error:
            if error.status != 404:
                raise

    def watch(self, path: str, *, seconds: float, **params: str) -> Iterator[tuple[str, Json]]:
        """Give events (type, object) of a collection for so many seconds at most; ends early when the server does."""
        import urllib3

        query = {"watch": "true", "timeoutSeconds": str(max(1, int(seconds + 0.999))), **params}
        answer = self._send("GET", path, None, query, "", seconds + 5, stream=True)
        pending = b""
        try:
            for chunk in answer.stream(amt=None):
                pending += chunk
                *lines, pending = pending.split(b"\n")
                for line in lines:
                    if line.strip():
                        event = json.loads(line)
                        yield event["type"], event["object"]
        except urllib3.exceptions.HTTPError:
            return
        finally:
            answer.close()

    # ------------------------------------------------------------ pods

    def proxy(self, namespace: str, pod: str, port: int, path: str, body: Json, *, seconds: float) -> Json:
        """POST JSON to a pod's port through the API server."""
        return self.json(
            "POST", f"/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}", body=body, seconds=seconds
        )

    def logs(
        self, namespace: str, pod: str, container: str, *, lines: int | None = None, previous: bool = False
    ) -> str:
        """Give a container's log, or its last lines."""
        params = {"container": container}
        if lines is not None:
            params["tailLines"] = str(lines)
        if previous:
            params["previous"] = "true"
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        return self.request("GET", path, params=params).decode("utf-8", "replace")

    def forwarded_get(self, namespace: str, pod: str, port: int, path: str, *, seconds: float = 10.0) -> bytes:
        """GET ``path`` from a port of a pod's loopback, by port-forward. Raises ``Infrastructure``."""
        where = f"port-forward to {namespace}/{pod}:{port}"
        try:
            websocket = self.forward(namespace, pod, port, seconds=seconds)
            try:
                request = f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
                websocket.send_binary(DATA + request.encode())
                answer = _forwarded_answer(websocket)
                websocket.send_close()
            finally:
                # The library's own port-forward leaves its socket to a thread, which closes it when it pleases.
                websocket.shutdown()
        except Exception as error:  # websocket, client and socket errors have no common root
            raise Infrastructure(f"{where}: {error or type(error).__name__}") from error
        if not answer.start.startswith("HTTP/1.1 200"):
            raise Infrastructure(f"{where}{path} answered {answer.start!r}")
        return answer.body

    def forward(self, namespace: str, pod: str, port: int, *, seconds: float) -> Any:
        """Open a WebSocket to a port of a pod's loopback; its frames begin with a channel's number (``DATA``).

        The first frame of each channel holds the port. Raises what the library raises.
        """
        from kubernetes import stream

        client: Any = stream.ws_client
        target = f"{self._configuration.host.rstrip('/')}/api/v1/namespaces/{namespace}/pods/{pod}/portforward"
        headers = {"sec-websocket-protocol": "v4.channel.k8s.io"}
        token = self._token()
        if token:
            headers["authorization"] = token
        websocket = client.create_websocket(
            self._configuration, client.get_websocket_url(target, [("ports", port)]), headers
        )
        websocket.settimeout(seconds)
        return websocket

    def exec(self, namespace: str, pod: str, container: str, command: Sequence[str], *, seconds: float) -> Execution:
        """Run a command in a container. Raises ``Infrastructure``, also when it does not end in time."""
        from kubernetes import stream

        where = f"exec in {namespace}/{pod}/{container} of {' '.join(command)!r}"
        try:
            running = stream.stream(
                self._streaming().connect_get_namespaced_pod_exec,
                pod,
                namespace,
                container=container,
                command=list(command),
                stdin=False,
                stdout=True,
                stderr=True,
                tty=False,
                _preload_content=False,
            )
            try:
                output, errors, deadline = "", "", time.monotonic() + seconds
                while running.is_open() and time.monotonic() < deadline:
                    running.update(timeout=0.2)
                    output += running.read_stdout(timeout=0) if running.peek_stdout() else ""
                    errors += running.read_stderr(timeout=0) if running.peek_stderr() else ""
                if running.is_open():
                    raise Infrastructure(f"{where}: no end after {seconds:g} s; so far: {(output + errors)[-300:]!r}")
                code = running.returncode
            finally:
                running.close()
                running.sock.shutdown()  # close() leaves the socket open when the server has ended the stream
        except Infrastructure:
            raise
        except Exception as error:  # websocket, client and socket errors have no common root
            raise Infrastructure(f"{where}: {error}") from error
        if code is None:
            raise Infrastructure(f"{where}: the connection ended without an exit code")
        return Execution(output=output, errors=errors, code=int(code))

    def _streaming(self) -> Any:
        """Give an API object of its own: the library patches the client under a stream, which threads must not share."""
        from kubernetes import client

        return client.CoreV1Api(copy.copy(self._client))


def _forwarded_answer(websocket: Any) -> Message:
    """Read one HTTP response from the frames of a port-forward; raises OSError or what the library raises."""
    reader = MessageReader(responses=True)
    opened: set[int] = set()
    while True:
        frame = websocket.recv()
        if not frame:  # closed, which may be how the response ends
            message = reader.end()
            if message is None:
                raise ConnectionError("closed before an answer was complete")
            return message
        channel, data = frame[0], bytes(frame[1:])
        if channel not in opened:
            opened.add(channel)  # the first frame of each channel holds the port's number
        elif channel != DATA[0]:
            raise ConnectionError(data.decode("utf-8", "replace"))
        elif messages := reader.feed(data):
            return messages[0]


def _error(status: int, body: bytes, where: str) -> KubeError:
    text = body.decode("utf-8", "replace")
    try:
        data = json.loads(text)
    except ValueError:
        return KubeError(status, "", text.strip()[:500] or "no message", where)
    if not isinstance(data, dict):
        return KubeError(status, "", text[:500], where)
    return KubeError(
        status, str(data.get("reason", "")), str(data.get("message", data.get("error", text[:500]))), where
    )

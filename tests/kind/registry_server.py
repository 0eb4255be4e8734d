"""An image registry (the distribution API's push and pull) with basic authentication, in memory of a directory: for tests.

It keeps blobs and manifests under their digests and tags, and lists nothing.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

USER, PASSWORD = "robot", "open-sesame"
_UPLOAD = re.compile(r"/v2/(?P<name>.+)/blobs/uploads/(?P<id>[0-9a-f]*)")
_BLOB = re.compile(r"/v2/(?P<name>.+)/blobs/(?P<digest>sha256:[0-9a-f]{64})")
_MANIFEST = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)")
_CHUNK = 1 << 20


class Registry(ThreadingHTTPServer):
    """Serves ``directory`` at ``address``; ``pulled`` are the names of manifests that were asked for."""

    daemon_threads = True

    def __init__(self, address: str, directory: Path) -> None:
        super().__init__((address, 0), _Handler)
        self.directory = directory
        self.pulled: list[str] = []
        self.refused = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry

    def log_message(self, *_):
        pass

    def handle_any(self):
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("authorization") != wanted:
            self.server.refused += 1
            self._body()
            self._answer(401, headers={"www-authenticate": 'Basic realm="registry"'})
        elif self.path.rstrip("/") == "/v2":
            self._answer(200)
        else:
            getattr(self, f"_{self.command.lower()}")(self.path.partition("?")[0])

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = handle_any  # noqa: N815

    def _get(self, path):
        if found := _BLOB.fullmatch(path):
            self._file(self._place(found["digest"]))
        elif found := _MANIFEST.fullmatch(path):
            reference = self._place(f"{found['name'].replace('/', '_')}@{found['reference']}")
            digest = reference.read_text() if reference.exists() else found["reference"]
            kind = self._place(f"{digest}.type")
            if self.command == "GET":
                self.server.pulled.append(found["name"])
            self._file(self._place(digest), digest, kind.read_text() if kind.exists() else "")
        else:
            self._answer(404)

    _head = _get

    def _post(self, path):
        found = _UPLOAD.fullmatch(path)
        self._body()
        self._answer(202, headers=self._upload(found["name"], secrets.token_hex(8)))

    def _patch(self, path):
        found = _UPLOAD.fullmatch(path)
        place = self._place(found["id"])
        with place.open("ab") as file:
            self._body(file)
        self._answer(
            202, headers={**self._upload(found["name"], found["id"]), "range": f"0-{place.stat().st_size - 1}"}
        )

    def _put(self, path):
        if found := _UPLOAD.fullmatch(path):
            place = self._place(found["id"])
            with place.open("ab") as file:
                self._body(file)
            with place.open("rb") as file:
                digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            place.rename(self._place(digest))
        else:
            found = _MANIFEST.fullmatch(path)
            data = self._body()
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            self._place(digest).write_bytes(data)
            self._place(f"{digest}.type").write_text(self.headers["content-type"])
            self._place(f"{found['name'].replace('/', '_')}@{found['reference']}").write_text(digest)
        self._answer(201, headers={"docker-content-digest": digest, "location": path})

    def _upload(self, name, upload):
        return {"location": f"/v2/{name}/blobs/uploads/{upload}", "docker-upload-uuid": upload}

    def _place(self, name):
        return self.server.directory / name.replace(":", "-")

    def _body(self, file=None):
        """Read the request's body, chunked or not; into ``file`` where one is given."""
        parts = []
        take = file.write if file is not None else parts.append
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                take(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
        else:
            left = int(self.headers.get("content-length", 0))
            while left:
                data = self.rfile.read(min(left, _CHUNK))
                take(data)
                left -= len(data)
        return b"".join(parts)

    def _file(self, place, digest="", kind=""):
        if not place.is_file():
            self._answer(404)
            return
        headers = {"docker-content-digest": digest} if digest else {}
        self._answer(200, headers=headers, kind=kind or "application/octet-stream", length=place.stat().st_size)
        if self.command == "GET":
            with place.open("rb") as file:
                while data := file.read(_CHUNK):
                    self.wfile.write(data)

    def _answer(self, code, *, headers=None, kind="text/plain", length=0):
        self.send_response(code)
        for key, value in {**(headers or {}), "content-type": kind, "content-length": str(length)}.items():
            self.send_header(key, value)
        self.end_headers()

"""The API server's client of the kubelet, over its Unix socket.

It knows the kubelet's paths and how its refusals read; what flows on a connection is the callers'.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
import yarl

from pytest_mesh.clusters.local.apiserver.errors import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

PROTOCOL = "v5.channel.k8s.io"
STDIN, STDOUT, STDERR, STATUS, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255

HALF_CLOSE = "eof"
"""The text message by which one end of a forwarded connection says that it sends no more."""

_REASONS = {400: "BadRequest", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 503: "ServiceUnavailable"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubelet:
    """The one node's kubelet."""

    socket: Path

    @asynccontextmanager
    async def get(self, path: str, query: Sequence[tuple[str, str]]) -> AsyncIterator[aiohttp.ClientResponse]:
        """GET a streamed answer; raises StatusError with the kubelet's text for any refusal."""
        async with self._session() as session:
            try:
                request = session.get(self._url(path, query))
                async with request as response:
                    if response.status != 200:
                        raise refusal(response.status, await response.text())
                    yield response
            except aiohttp.ClientConnectorError as error:
                raise self._unreachable(error) from error

    @asynccontextmanager
    async def connect(
        self, path: str, query: Sequence[tuple[str, str]], *, protocols: Sequence[str] = ()
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a WebSocket; raises StatusError with the kubelet's text if it refuses."""
        async with self._session() as session:
            url = self._url(path, query)
            try:
                websocket = await session.ws_connect(url, protocols=protocols, max_msg_size=0, compress=0)
            except aiohttp.WSServerHandshakeError as error:
                # The text is in the body, which the handshake threw away.
                async with session.get(url) as response:
                    text = await response.text() if response.status == error.status else error.message
                raise refusal(error.status, text) from error
            except aiohttp.ClientConnectorError as error:
                raise self._unreachable(error) from error
            try:
                yield websocket
            finally:
                await websocket.close()

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.UnixConnector(str(self.socket))
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))

    @staticmethod
    def _url(path: str, query: Sequence[tuple[str, str]]) -> yarl.URL:
        return yarl.URL.build(scheme="http", host="kubelet", path=path, query=list(query))

    def _unreachable(self, error: Exception) -> StatusError:
        return StatusError(
            500, "InternalError", f"Internal error occurred: error dialing the kubelet at {self.socket}: {error}"
        )


def refusal(status: int, text: str) -> StatusError:
    """Give the Status of a kubelet's refusal: its code and its words."""
    code = status if status >= 400 else 500
    words = text.strip() or f"the kubelet answered {status}"
    if code >= 500 and code not in _REASONS:
        return StatusError(code, "InternalError", f"Internal error occurred: {words}")
    return StatusError(code, _REASONS.get(code, "BadRequest"), words)

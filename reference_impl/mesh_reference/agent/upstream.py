"""The way to istiod: TLS by the mesh's roots, a bearer token from the mounted file.

It deliberately holds no connection: root and token are read for each channel,
so that a rotated one is used from the next call on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from mesh_reference.agent.environment import AgentError

if TYPE_CHECKING:
    from mesh_reference.agent.environment import AgentSettings

OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # istiod restarts faster than gRPC's default of one second and up.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # A channel of its own each time: shared subchannels would keep the credentials of the first.
    ("grpc.use_local_subchannel_pool", 1),
)


class Upstream:
    """Makes channels to istiod and the metadata that says who calls."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self._answered = b""

    def learn(self, root_pem: bytes) -> None:
        """Believe these roots beside the mounted ones, in the place of those that were learned before.

        They come with a certificate, from an istiod that was believed. The kubelet
        brings an added root a minute or two later, and istiod may sign under it by then.
        """
        self._answered = root_pem

    def channel(self, address: str) -> grpc.aio.Channel:
        """Give a channel to ``host:port``; the caller closes it. Raises AgentError when the root cannot be read."""
        path = self._settings.paths.root
        try:
            root = path.read_bytes()
        except OSError as error:
            raise AgentError(
                f"the mesh's root {path} cannot be read ({error.strerror}): is the volume mounted?"
            ) from error
        credentials = grpc.ssl_channel_credentials(root + b"\n" + self._answered)
        return grpc.aio.secure_channel(address, credentials, options=OPTIONS)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Give the call metadata: the token as it is in the file, and the cluster. Raises AgentError."""
        path = self._settings.paths.token
        try:
            token = path.read_text().strip()
        except OSError as error:
            raise AgentError(f"the token {path} cannot be read ({error.strerror}): is the volume mounted?") from error
        return (("authorization", f"Bearer {token}"), ("clusterid", self._settings.cluster_id))

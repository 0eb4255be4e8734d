"""The agent's own part of the configuration stream: it asks for the name table beside Envoy, and Envoy sees nothing of it.

One per stream. It deliberately does no I/O: messages' bytes in, messages' bytes out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2
from google.rpc import status_pb2

from mesh_reference.name_table import TYPE_URL

logger = logging.getLogger(__name__)

INVALID_ARGUMENT = 3


class NameStream:
    """``take`` gets each name table's bytes, and raises ValueError for one that it refuses."""

    def __init__(self, *, delta: bool, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._delta = delta
        self._request: Any = discovery_pb2.DeltaDiscoveryRequest if delta else discovery_pb2.DiscoveryRequest
        self._response: Any = discovery_pb2.DeltaDiscoveryResponse if delta else discovery_pb2.DiscoveryResponse
        self._version = ""

    def opening(self) -> bytes:
        """The request to send after Envoy's first one, which says who calls."""
        return bytes(self._request(type_url=TYPE_URL).SerializeToString())

    def answer(self, message: bytes) -> bytes | None:
        """Take a response of Pilot's and give what to say to it; None for one that is Envoy's."""
        response = self._response.FromString(message)
        if response.type_url != TYPE_URL:
            return None
        said = self._request(type_url=TYPE_URL, response_nonce=response.nonce)
        try:
            for resource in response.resources:
                self._take((resource.resource if self._delta else resource).value)
        except ValueError as error:
            logger.error("names: refused: %s", error)  # noqa: TRY400  the text says it
            said.error_detail.CopyFrom(status_pb2.Status(code=INVALID_ARGUMENT, message=str(error)))
        else:
            self._version = "" if self._delta else response.version_info
        if not self._delta:
            said.version_info = self._version
        return bytes(said.SerializeToString())

"""A response, and a TLS handshake, as a test reads them: who answered, who the answering side saw. Pure."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pytest_mesh.contracts import Echo, Failure, Json, Observation
from pytest_mesh.traffic.xfcc import Peer, peer_of


class Headers(Mapping[str, str]):
    """Response headers by name, whatever its case; the first value where there are several."""

    def __init__(self, pairs: tuple[tuple[str, str], ...]) -> None:
        self.pairs = pairs

    def __getitem__(self, name: str) -> str:
        for key, value in self.pairs:
            if key.lower() == name.lower():
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(key.lower() for key, _ in self.pairs))

    def __len__(self) -> int:
        return len({key.lower() for key, _ in self.pairs})

    def __repr__(self) -> str:
        return repr(dict(self))

    def all(self, name: str) -> list[str]:
        """Give every value of a header, in order."""
        return [value for key, value in self.pairs if key.lower() == name.lower()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What came back for one request. ``status`` is 0 when nothing did: ``failure`` and ``detail`` say why."""

    method: str
    url: str
    status: int = 0
    failure: Failure = ""
    detail: str = ""
    version: str = ""
    """Version label of the workload that answered; empty when a proxy answered, or nobody."""
    pod: str = ""
    connection: int = -1
    """Number of the connection, within what was sent by one call; -1 = there was none."""
    seconds: float = 0.0
    headers: Headers = field(default_factory=lambda: Headers(()))
    body: str = field(default="", repr=False)
    echo: Echo | None = field(default=None, repr=False)
    """What the answering workload saw of the request."""

    @property
    def ok(self) -> bool:
        """Whether a workload answered with 2xx."""
        return self.echo is not None and 200 <= self.status < 300

    @property
    def peer(self) -> Peer:
        """The caller as the answering pod's proxy saw it; all empty without a client certificate."""
        return peer_of(self.echo.headers) if self.echo else Peer()


def response_of(observation: Observation, method: str, url: str) -> Response:
    """Make a test's response of a workload's observation."""
    echo = observation.echo
    return Response(
        method=method,
        url=url,
        status=observation.status,
        failure=observation.failure,
        detail=observation.detail,
        version=echo.version if echo else "",
        pod=echo.pod if echo else "",
        connection=observation.connection,
        seconds=observation.seconds,
        headers=Headers(observation.headers),
        body=observation.body,
        echo=echo,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What a TLS probe met."""

    chain: tuple[bytes, ...] = field(default=(), repr=False)
    """The peer's certificates, DER, leaf first; empty when the handshake did not get that far."""
    tls: str = ""
    """Version, as ``TLSv1.3``."""
    alpn: str = ""
    admitted: bool = False
    """Whether bytes came back after a request: under TLS 1.3 a refused client learns of it only then."""
    failure: str = ""
    seconds: float = 0.0

    def pem(self) -> str:
        """Give the chain as PEM."""
        return "".join(
            "-----BEGIN CERTIFICATE-----\n"
            + "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
            + "\n-----END CERTIFICATE-----\n"
            for der in self.chain
        )


def handshake_of(data: Json) -> Handshake:
    """Make a handshake of a workload's answer to a probe."""
    chain = tuple(base64.b64decode(one) for one in data["chain"])
    return Handshake(**{**data, "chain": chain})

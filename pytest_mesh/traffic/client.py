"""A client inside the mesh: sends requests from a pod, reads what came back, draws a split until its verdict stands.

It does not start the pod (``namespace``) and it does not decide (``statistics``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Protocol

from pytest_mesh.contracts import Batch, Counts, Json, Observation, Request
from pytest_mesh.failures import hidden
from pytest_mesh.progress import Monitor, Status
from pytest_mesh.settings import MeshSettings
from pytest_mesh.traffic.background import Background
from pytest_mesh.traffic.responses import Handshake, Response, handshake_of, response_of
from pytest_mesh.traffic.soak import Lane, Soak
from pytest_mesh.traffic.splits import Draw, draw_until
from pytest_mesh.traffic.statistics import Judgement, SplitClaim
from pytest_mesh.workloads.targets import BY_CONNECTION

__tracebackhide__ = hidden

Send = Callable[[Batch], Json]
"""Carries a Batch to the workload and gives its answer."""
Probe = Callable[[Json], Json]
"""Carries the arguments of a TLS probe to the workload and gives its answer."""
Control = Callable[[str, Json], Json]
"""Carries JSON to a path of the workload's control port and gives its answer."""

BACKGROUND_DRAW = 100
"""Requests of one call of background traffic: some tens of milliseconds."""


class Notebook(Protocol):
    """Where a client writes down what it did: the transcript and the evidence of the test."""

    def write(self, entry: Json) -> None:
        """Add an entry to the transcript."""

    def facts(self, **facts: Any) -> None:
        """Add facts to the check's evidence."""

    @property
    def monitor(self) -> Monitor:
        """Whom long phases tell how far they are."""

    @property
    def evidence(self) -> Mapping[str, Any]:
        """The facts so far."""


class Client:
    """A workload of the namespace that sends requests; made by ``mesh_namespace.client``."""

    def __init__(
        self,
        name: str,
        pod: str,
        send: Send,
        probe: Probe,
        notebook: Notebook,
        settings: MeshSettings,
        *,
        control: Control | None = None,
        namespace: str = "",
    ) -> None:
        self.name = name
        self.pod = pod
        """Name of the pod that sends."""
        self._send = send
        self._probe = probe
        self._notebook = notebook
        self._settings = settings
        self._control = control
        self._namespace = namespace
        self._sent = 0

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, timeout: float = 10.0) -> Response:
        """GET a URL from inside the pod, on a connection of its own."""
        return self.request("GET", url, headers=headers, timeout=timeout)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: str = "",
        timeout: float = 10.0,
    ) -> Response:
        """Send one request, by the URL's scheme over HTTP/1.1, ``http2``, ``grpc``, ``ws``, ``tcp`` or ``tls``.

        No answer is no exception: ``status`` is 0 and ``failure`` says why.
        """
        request = Request(url=url, method=method, headers=tuple((headers or {}).items()), body=body, timeout=timeout)
        return self.batch([request])[0]

    def batch(
        self,
        requests: Sequence[Request],
        *,
        count: int = 1,
        connections: int = 1,
        reuse: bool = True,
        barrier: bool = False,
    ) -> list[Response]:
        """Send requests ``count`` times each under control (see ``contracts.Batch``); responses as they completed."""
        batch = Batch(requests=tuple(requests), count=count, connections=connections, reuse=reuse, barrier=barrier)
        observations = self.observe(batch)
        self._sent += len(observations)
        self._notebook.monitor.show(Status(phase=f"requests of {self.name}", done=self._sent))
        responses = [response_of(one, requests[one.request].method, requests[one.request].url) for one in observations]
        self._notebook.write(
            {
                "namespace": self._namespace,
                "client": self.name,
                "batch": batch.to_json(),
                "answers": [_summary(response) for response in responses[:50]],
                "more": max(0, len(responses) - 50),
            }
        )
        return responses

    def observe(self, batch: Batch) -> list[Observation]:
        """Send a Batch (``record="each"``) as it is; what was observed of each exchange, and no line in the transcript."""
        return [Observation.from_json(item) for item in self._send(batch)["observations"]]

    def counts(self, batch: Batch) -> Counts:
        """Send a Batch (``record="counts"``) as it is; how often each answer came, and no line in the transcript."""
        return Counts.from_json(self._send(batch))

    def count(
        self,
        url: str,
        count: int,
        *,
        headers: Mapping[str, str] | None = None,
        connections: int = 8,
        reuse: bool = True,
        barrier: bool = False,
        key: Any = "version",
    ) -> Counts:
        """Send one request ``count`` times and count the answers by ``version``, ``pod`` or ``status``."""
        batch = Batch(
            requests=(Request(url=url, headers=tuple((headers or {}).items())),),
            count=count,
            connections=connections,
            reuse=reuse,
            barrier=barrier,
            record="counts",
            key=key,
        )
        counts = self.counts(batch)
        self._notebook.write(
            {
                "namespace": self._namespace,
                "client": self.name,
                "batch": batch.to_json(),
                "counts": dict(counts.counts),
                "failures": dict(counts.failures),
                "seconds": counts.seconds,
            }
        )
        return counts

    @contextmanager
    def traffic(
        self, url: str, *, headers: Mapping[str, str] | None = None, connections: int = 4, reuse: bool = True
    ) -> Iterator[Background]:
        """Send requests all the while that the block runs; what came back is complete after it."""
        background = Background(
            lambda: self.count(url, BACKGROUND_DRAW, headers=headers, connections=connections, reuse=reuse),
            lambda counts: self._notebook.monitor.show(
                Status(phase=f"traffic to {url}", done=sum(counts.values()), counts=counts)
            ),
        )
        with background.running():
            yield background

    @contextmanager
    def soak(self, *lanes: Lane) -> Iterator[Soak]:
        """Send each lane's traffic all the while that the block runs, by the clock, and count what became of it."""
        if self._control is None:
            raise ValueError(f"client {self.name} has no way to its pod's control port")
        soak = Soak(self._control, lanes, self._notebook.monitor)
        try:
            yield soak
        finally:
            soak.stop()
            self._notebook.write(
                {
                    "namespace": self._namespace,
                    "client": self.name,
                    "soak": [asdict(lane) for lane in soak.seen.values()],
                }
            )

    def probe(
        self,
        host: str,
        port: int,
        *,
        alpn: Sequence[str] = ("istio",),
        server_name: str = "",
        certificate_chain: str = "",
        private_key: str = "",
        tls: str = "",
        ciphers: str = "",
        timeout: float = 5.0,
    ) -> Handshake:
        """Shake hands with ``host:port`` by TLS from inside the pod and send one request.

        Args:
            host: address or name; a pod's address, for its proxy to be met.
            port: the application's port: the pod's own redirect leads to the proxy.
            alpn: protocols to offer.
            server_name: SNI; empty sends none.
            certificate_chain: PEM to present; empty presents none.
            private_key: PEM of its key.
            tls: the one version to offer, as ``TLSv1.1``; empty = whatever the pod's library offers.
            ciphers: what to offer up to TLS 1.2, as OpenSSL writes it; empty = whatever the library offers.
            timeout: seconds for the whole probe.
        """
        arguments: Json = {
            "host": host,
            "port": port,
            "alpn": list(alpn),
            "server_name": server_name,
            "certificate_chain": certificate_chain,
            "private_key": private_key,
            "tls": tls,
            "ciphers": ciphers,
            "timeout": timeout,
        }
        handshake = handshake_of(self._probe(arguments))
        self._notebook.write(
            {
                "namespace": self._namespace,
                "client": self.name,
                "probe": f"{host}:{port}",
                "serverName": server_name,
                "alpn": list(alpn),
                "presents": bool(certificate_chain),
                "answer": {"tls": handshake.tls, "admitted": handshake.admitted, "failure": handshake.failure},
                "chain": handshake.pem(),
            }
        )
        return handshake

    def assert_split(
        self,
        url: str,
        weights: Mapping[str, float],
        delta: float | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        key: Any = "version",
    ) -> Judgement:
        """Draw requests until the sequential test stands; fail when the answers do not come by ``weights``.

        Args:
            url: what is requested.
            weights: share of each version (any scale); 0 = must never answer.
            delta: percentage points by which a share may be wrong before it must be found; default
                ``mesh_settings.split_delta``.
            headers: request headers.
            key: what is counted: ``version`` or ``pod``.

        Of ``tcp://``, ``tls://`` and ``ws://`` connections are drawn: these are what a proxy shares out.
        """
        reuse = url.partition(":")[0] not in BY_CONNECTION

        def draw(number: int) -> Draw:
            connections = self._settings.connections
            drawn = self.count(url, number, headers=headers, connections=connections, reuse=reuse, key=key)
            return Draw(counts=drawn.counts, runs=drawn.runs, failures=drawn.failures, seconds=drawn.seconds)

        return self.assert_shares(url, draw, weights, delta)

    def assert_shares(
        self, what: str, draw: Callable[[int], Draw], weights: Mapping[str, float], delta: float | None = None
    ) -> Judgement:
        """Draw by ``draw`` until the sequential test stands: for shares of whatever can be counted.

        Args:
            what: what is asked, for messages.
            draw: gives (about) so many more picks, as ``traffic.splits.Draw``.
            weights: share of each name that ``draw`` counts (any scale); 0 = must never be seen.
            delta: percentage points, as in :meth:`assert_split`.
        """
        settings = self._settings
        points = settings.split_delta if delta is None else delta
        claim = SplitClaim.of(weights, delta=points / 100, alpha=settings.alpha, beta=settings.beta)
        seen: Counter[str] = Counter()

        def told(number: int) -> Draw:
            status = Status(phase=f"split of {what}", done=seen.total(), total=claim.mean_size, counts=dict(seen))
            self._notebook.monitor.show(status)
            drawn = draw(number)
            seen.update(drawn.counts)
            return drawn

        return draw_until(claim, told, what=what, note=self._note, cap=settings.split_cap or None)

    def _note(self, **facts: Any) -> None:
        """Write down a claim; what several claims of one check spend of alpha adds up."""
        spent = float(self._notebook.evidence.get("alpha", 0.0))
        claims = int(self._notebook.evidence.get("claims", 0))
        self._notebook.facts(**{**facts, "alpha": spent + facts["alpha"], "claims": claims + 1})


def _summary(response: Response) -> Json:
    if response.failure:
        return {"failure": response.failure, "detail": response.detail}
    return {
        "status": response.status,
        "version": response.version,
        "pod": response.pod,
        "headers": list(response.headers.pairs),
    }

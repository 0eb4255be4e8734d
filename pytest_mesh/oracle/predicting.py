"""The oracle itself: a world, a client and a request give every allowed outcome and the reasons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from pytest_mesh.contracts import Request
from pytest_mesh.oracle import connections, cors, grpc_answers, headers, paths
from pytest_mesh.oracle.binding import Owner, blocks_of, owner
from pytest_mesh.oracle.errors import Unsupported
from pytest_mesh.oracle.fields import Line
from pytest_mesh.oracle.matching import block_miss, filtered
from pytest_mesh.oracle.model import (
    Block,
    Branch,
    Condition,
    Destination,
    HeaderChanges,
    Headers,
    Rule,
    Service,
    Source,
    World,
)
from pytest_mesh.oracle.outcomes import Copy, Flag, Outcome, Prediction, Step, merged
from pytest_mesh.oracle.requests import Seen, seen
from pytest_mesh.oracle.scopes import scoped
from pytest_mesh.oracle.targets import Target, target

_MILLION = 1_000_000
_STATUS, _DELAY = "x-mesh-status", "x-mesh-delay"
"""Request headers that the echo workload obeys."""


def predict(world: World, source: Source, request: Request) -> Prediction:
    """Give what may come of a request that a pod of ``source`` sends through its proxy.

    A URL ``tcp://host:port`` or ``tls://name:port`` asks for a connection (``connections``). Raises ``Unsupported`` where
    the documents or the request hold what the oracle does not model.
    """
    steps: list[Step] = []
    known = scoped(world, source, steps)
    if connections.is_connection(request):
        return connections.predict(known, source, connections.dialled(request), steps)
    return _Decision(known, source, seen(request), steps).predict()


class _Decision:
    """One request while it is decided."""

    def __init__(self, world: World, source: Source, request: Seen, steps: list[Step]) -> None:
        self._world = world
        self._source = source
        self._request = request
        self._steps = steps
        self._assumed: dict[str, None] = {}

    def predict(self) -> Prediction:
        outcomes = merged(grpc_answers.as_grpc(one, self._request) for one in self._listened())
        return Prediction(
            outcomes=outcomes, steps=tuple(self._steps), assumptions=(*self._assumed, *self._world.assumptions)
        )

    def _listened(self) -> Iterator[Outcome]:
        ports = [port for one in self._world.services if (port := one.port(self._request.port))]
        if any(port.http for port in ports):
            yield from self._outcomes(owner(self._world, self._source, self._request, self._steps))
        elif ports:
            raise Unsupported(
                f"port {self._request.port}: no Service declares it as HTTP, so no listener routes by host"
            )
        elif self._world.registry_only:
            self._say(
                f"no Service that the client knows has port {self._request.port}; REGISTRY_ONLY: closed (F8)", None
            )
            yield Outcome(by="proxy", status=0, flag="BH")
        else:
            self._say(
                f"no Service that the client knows has port {self._request.port}; ALLOW_ANY: passed on (F6)", None
            )
            yield self._passed_through()

    def _outcomes(self, who: Owner) -> Iterator[Outcome]:
        if who.virtual_service is None:
            yield from self._default(who.service)
            return
        for rule in who.virtual_service.rules:
            for block in blocks_of(rule):
                reason = filtered(block, self._source, self._request.port)
                if reason:
                    self._say(f"is not there: {reason}", block.line)
                    continue
                reason = block_miss(block, self._request)
                if not reason:
                    self._say("matches", block.line)
                    yield from self._act(rule, block)
                    return
                self._say(f"does not match: {reason}", None)
        self._say("no route matches: 404 NR (F4)", who.virtual_service.line)
        yield Outcome(by="proxy", status=404, flag="NR")

    def _default(self, service: Service | None) -> Iterator[Outcome]:
        if service is not None:
            port = service.port(self._request.port)
            if port is None or not port.http:
                raise Unsupported(f"{service.line}: the oracle does not model ports whose protocol is detected")
            destination = Destination(host=service.host, port=port.number, line=service.line)
            yield from self._to(
                Branch(destination=destination, line=service.line), Headers(), None, self._path(None, None)
            )
        elif self._world.registry_only:
            self._say("REGISTRY_ONLY: 502 (F7)", None)
            yield Outcome(by="proxy", status=502, flag="BH")
        else:
            self._say("ALLOW_ANY: on to where the client connects (F6)", None)
            yield self._passed_through()

    def _passed_through(self) -> Outcome:
        """Give what answers at the address that the client dials."""
        host = connections.behind_address(self._world, self._source, self._request.address)
        if host is None:
            return Outcome(by="outside")
        return replace(
            self._from_workload(Headers(), None),
            host=host[0].host,
            port=self._request.port,
            workloads=host[1],
            path=self._path(None, None),
            authority=self._request.authority,
        )

    # ------------------------------------------------------------ actions

    def _act(self, rule: Rule, block: Block) -> Iterator[Outcome]:
        for fault_share, aborted, delay in self._faults(rule):
            if aborted:
                code = rule.fault.abort_grpc if rule.fault and not rule.fault.abort_status else None
                body = "fault filter abort"
                yield Outcome(
                    probability=fault_share,
                    by="proxy",
                    status=aborted,
                    flag="FI",
                    delay=delay,
                    grpc_status=code,
                    body=body,
                )
                continue
            for one in self._unfaulted(rule, block):
                yield replace(one, probability=one.probability * fault_share, delay=max(delay, one.delay + delay))

    def _faults(self, rule: Rule) -> Iterator[tuple[Fraction, int, float]]:
        """Give probability, status of the abort (0 = none) and delay: each part falls by itself (R8, R9)."""
        fault = rule.fault
        if fault is None:
            yield Fraction(1), 0, 0.0
            return
        # A gRPC status alone: 200 for whoever is no gRPC caller.
        wanted = fault.abort_status or (200 if fault.abort_grpc is not None else 0)
        delayed = Fraction(fault.delay_per_million if fault.delay else 0, _MILLION)
        aborted = Fraction(fault.abort_per_million if wanted else 0, _MILLION)
        parts = [(delayed, f"wait {fault.delay:g} s"), (aborted, f"get {wanted}")]
        told = ", ".join(f"{float(share * 100):g}% {what}" for share, what in parts if share)
        self._say(f"fault: {told or 'of nobody'}", fault.line)
        for wait_share, wait in ((delayed, fault.delay), (1 - delayed, 0.0)):
            for abort_share, status in ((aborted, wanted), (1 - aborted, 0)):
                if wait_share * abort_share:
                    yield wait_share * abort_share, status, wait

    def _unfaulted(self, rule: Rule, block: Block) -> Iterator[Outcome]:
        # The filter knows nothing of routes that a proxy answers by itself.
        if rule.cors is None or not rule.branches:
            yield from self._routed(rule, block)
            return
        answered = cors.preflight(rule.cors, self._request)
        if answered is not None:
            self._say("the proxy answers the preflight (R18)", rule.cors.line)
            yield Outcome(by="proxy", status=200, response_headers=answered, body="")
            return
        more = cors.added(rule.cors, self._request)
        if self._request.header("origin"):
            self._say(f"the origin is {'allowed' if more else 'not allowed'} (R18)", rule.cors.line)
        for one in self._routed(rule, block):
            yield replace(one, response_headers={**one.response_headers, **more})

    def _routed(self, rule: Rule, block: Block) -> Iterator[Outcome]:
        uri = next((one for one in block.conditions if one.where == "uri"), None)
        if rule.redirect is not None:
            self._say("redirects", rule.redirect.line)
            yield self._by_proxy(
                rule.headers,
                None,
                status=rule.redirect.code or 301,
                location=paths.location(rule.redirect, uri, self._request),
            )
        elif rule.direct_response is not None:
            self._say("answers by itself", rule.direct_response.line)
            direct = rule.direct_response
            yield self._by_proxy(rule.headers, None, status=direct.status, body=direct.body)
        else:
            yield from self._forward(rule, uri)

    def _forward(self, rule: Rule, uri: Condition | None) -> Iterator[Outcome]:
        if rule.retries:
            self._assumed[f"retries change no final answer ({rule.line.field('retries')})"] = None
        copies = tuple(self._copies(rule))
        path = self._path(rule, uri)
        single = len(rule.branches) == 1
        total = sum(one.weight for one in rule.branches)
        for branch in rule.branches:
            share = Fraction(1) if single else Fraction(branch.weight, total)
            if not share:
                self._say("weight 0 among several: gets nothing (W4)", branch.line)
                continue
            where = f"{branch.destination.host}{f' subset {branch.destination.subset}' if branch.destination.subset else ''}"
            ignored = " (its weight does not count, W3)" if single and branch.weight not in {0, 100} else ""
            self._say(f"{float(share * 100):g}% to {where}{ignored}", branch.line)
            for one in self._to(branch, rule.headers, rule, path):
                yield replace(one, probability=one.probability * share, mirrors=copies)

    def _to(self, branch: Branch, route: Headers, rule: Rule | None, path: str) -> Iterator[Outcome]:
        single = rule is None or len(rule.branches) == 1
        found = target(self._world, self._source, branch.destination, self._request.port, self._steps)
        self._assumed.update(dict.fromkeys(found.assumptions))
        if found.flag:
            body = "no healthy upstream" if found.flag == "UH" else ""
            one = self._by_proxy(route, branch.headers, status=503, flag=found.flag, body=body, single=single)
            yield replace(one, host=found.host, subset=found.subset, port=found.port)
            return
        if found.reached != "pods":
            dialled = found.reached == "dialled"
            there = connections.behind_address(self._world, self._source, self._request.address) if dialled else None
            connections.check_dialled(self._world, found, there)
            known = self._answered(
                branch, route, rule, path, replace(found, workloads=there[1] if there else ()), single=single
            )
            yield known if there else replace(known, by="outside", status=200)
            return
        yield self._answered(branch, route, rule, path, found, single=single)

    def _answered(
        self, branch: Branch, route: Headers, rule: Rule | None, path: str, found: Target, *, single: bool
    ) -> Outcome:
        rewrite = rule.rewrite.authority if rule and rule.rewrite else ""
        authority = rewrite or headers.authority(route.request) or headers.authority(branch.headers.request)
        one = self._from_workload(route, branch.headers, single=single)
        if rule and rule.timeout and one.delay >= rule.timeout:
            self._say(
                f"the answer would take {one.delay:g} s, more than the timeout: 504 UT (R10)",
                rule.line.field("timeout"),
            )
            return replace(
                self._by_proxy(route, branch.headers, status=504, flag="UT", single=single),
                host=found.host, subset=found.subset, port=found.port, delay=rule.timeout,
            )  # fmt: skip
        return replace(
            one,
            host=found.host,
            subset=found.subset,
            port=found.port,
            workloads=found.workloads,
            path=path,
            authority=authority or self._request.authority,
        )

    # ------------------------------------------------------------ parts

    def _from_workload(self, route: Headers, branch: Headers | None, *, single: bool = True) -> Outcome:
        order = headers.stages(route.request, branch.request if branch else HeaderChanges(), single=single)
        sent = dict(headers.changed(self._request.headers, order))
        return Outcome(
            status=int(sent.get(_STATUS) or 200),
            delay=float(sent.get(_DELAY) or 0),
            method=self._request.method,
            request_headers=headers.expected(self._request.headers, order),
            response_headers=_response_headers(route, branch, single=single),
        )

    def _by_proxy(
        self,
        route: Headers,
        branch: Headers | None,
        *,
        status: int,
        flag: Flag = "",
        location: str | None = None,
        body: str | None = None,
        single: bool = True,
    ) -> Outcome:
        return Outcome(
            by="proxy",
            status=status,
            flag=flag,
            location=location,
            body=body,
            response_headers=_response_headers(route, branch, single=single),
        )

    def _path(self, rule: Rule | None, uri: Condition | None) -> str:
        path = paths.rewritten(rule.rewrite if rule else None, uri, self._request)
        if rule and rule.rewrite and path != self._request.path + self._request.query:
            self._say(f"the path becomes {path}", rule.rewrite.line)
        return path

    def _copies(self, rule: Rule) -> Iterator[Copy]:
        for mirror in rule.mirrors:
            found = target(self._world, self._source, mirror.destination, self._request.port, [])
            self._say(
                f"{mirror.per_million / 10_000:g}% are copied to {found.host} {found.subset}".rstrip(), mirror.line
            )
            yield Copy(host=found.host, subset=found.subset, port=found.port, per_million=mirror.per_million)

    def _say(self, words: str, line: Line | None) -> None:
        step = Step(words=words, line=line)
        if step not in self._steps:
            self._steps.append(step)


def _response_headers(route: Headers, branch: Headers | None, *, single: bool) -> dict[str, str | None]:
    order = headers.stages(route.response, branch.response if branch else HeaderChanges(), single=single)
    return headers.expected((), order)

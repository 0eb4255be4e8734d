"""``refmesh explain`` beside real Envoys: run as ``unshare -mn python agreement_scene.py DIR REQUESTS SEED``.

A control plane over an in-memory cluster configures a sidecar's Envoy and a gateway's with generated VirtualServices; each
request goes through one of them to servers that tell what they got. Then the same documents are explained, and every
difference is printed as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from agreement_cases import MARK, NAMESPACE, Asked, cases
from envoy_scene import CLIENT, SETTINGS, V1, V2, V3, VIP, bootstrap, envoy_path, network, run
from memory_kube import MemoryKube, endpoint_slice, pod, resource, service, virtual_service

from mesh_reference import documents
from mesh_reference.app import Istiod
from mesh_reference.commands import manifests_mesh
from mesh_reference.commands.explaining import Explainer
from mesh_reference.commands.explanation import Answer, Explanation
from mesh_reference.commands.route_matching import Request, parse_request
from mesh_reference.settings import OutboundPolicy
from mesh_reference.xds import status
from pytest_mesh.strategies.cast import SIDE_SERVICE, SUBSETS

Json = dict[str, Any]
EDGE, EDGE_PORT = "10.244.0.21", 8081
NAMES = {V1: "v1", V2: "v2", V3: "o1"}
AT_ONCE = 8
REPEATS = 20
"""Times that a request is sent again whose answers come by chance."""
BUDGET_SECONDS = 60.0
TICK = 0.003
"""Envoy's timers are that early."""
HITS: dict[str, list[str]] = defaultdict(list)
"""Request: the workloads that got it or a copy of it."""


async def echo(name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with what arrived, as JSON."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
            method, path, _version = head[0].split(" ")
            headers = [line.split(":", 1) for line in head[1:]]
            headers = [[key.lower(), value.strip()] for key, value in headers]
            HITS[dict(headers).get("x-id", "")].append(name)
            body = json.dumps({"name": name, "method": method, "path": path, "headers": headers}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
    writer.close()


class Connection:
    """One kept-alive connection to an Envoy."""

    def __init__(self, address: str, port: int) -> None:
        self._where = (address, port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, asked: Asked, identity: str) -> Json:
        """What came back: status, headers, and the echo's word when it was the echo that answered."""
        lines = [f"{asked.method} {asked.path} HTTP/1.1", f"host: {asked.host}", f"x-id: {identity}"]
        lines += [f"{name}: {value}" for name, value in asked.headers]
        if asked.method in {"POST", "PUT"}:
            lines.append("content-length: 0")
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._where)
        reader, writer = self._streams
        started = time.monotonic()
        async with asyncio.timeout(10):
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
            headers: dict[str, str] = {}
            for line in head[1:]:
                key, value = line.split(":", 1)
                headers[key.lower()] = (
                    f"{headers[key.lower()]},{value.strip()}" if key.lower() in headers else value.strip()
                )
            body = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            writer.close()
            self._streams = None
        seen = {"status": int(head[0].split()[1]), "headers": headers, "seconds": time.monotonic() - started}
        echoed = body.startswith(b'{"name"')
        return {**seen, "got": json.loads(body) if echoed else None}


def stage() -> list[Json]:
    """The cast: three servers behind three Services, the client and the gateway."""
    cast = [
        service("target", VIP),
        endpoint_slice("target", [V1, V2]),
        service("other", "10.96.0.8"),
        endpoint_slice("other", [V3]),
        {**SIDE_SERVICE, "metadata": {"name": "side", "namespace": NAMESPACE}},
        endpoint_slice("side", [V3]),
        service("edge", "10.96.0.9"),
        endpoint_slice("edge", [EDGE], EDGE_PORT),
        pod("target-v1", V1, {"app": "target", "version": "v1"}),
        pod("target-v2", V2, {"app": "target", "version": "v2"}),
        pod("other-o1", V3, {"app": "other", "version": "o1"}),
        pod("tester-1", CLIENT, {"app": "client"}, "tester"),
        pod("edge-1", EDGE, {"istio": "edge"}, "edge"),
        {**SUBSETS, "metadata": {"name": "target", "namespace": NAMESPACE}},
        resource("Gateway", "edge", {"selector": {"istio": "edge"}, "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]}),
        # Nobody here serves secrets, and Envoy would wait for them.
        resource("PeerAuthentication", "off", {"mtls": {"mode": "DISABLE"}}, "istio-system"),
    ]  # fmt: skip
    versions = {"Service": "v1", "Pod": "v1", "EndpointSlice": "discovery.k8s.io/v1"}
    return [{"apiVersion": versions.get(item["kind"], ""), **item} for item in cast]


def endpoints_of(found: list[Json]) -> Iterator[Json]:
    """Endpoints of the Services that the cases bring."""
    for item in found:
        if item["kind"] == "Service":
            yield {"apiVersion": "discovery.k8s.io/v1", **endpoint_slice(item["metadata"]["name"], [V1, V2])}


async def send_all(asked: list[Asked], prefix: str = "") -> list[Json]:
    """Each request once, a few at a time; what was seen, in order. ``prefix`` is of the requests' names."""
    seen: list[Json] = [{}] * len(asked)
    left = iter(range(len(asked)))

    async def work() -> None:
        sidecar, gateway = Connection(VIP, 80), Connection(EDGE, EDGE_PORT)
        for number in left:
            one = asked[number]
            seen[number] = await (gateway if one.gateway else sidecar).send(one, f"{prefix}{number}")

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(work())
    return seen


def request_of(asked: Asked) -> Request:
    """As a user gives it to the command; the address is the target's, or the gateway's."""
    host = "edge" if asked.gateway else "target"
    lines = [f"host: {asked.host}", *(f"{name}: {value}" for name, value in asked.headers)]
    return replace(parse_request(f"http://{host}:80/", lines, asked.method), path=asked.path)


def differences(found: Explanation, seen: Json, workloads: list[str], hits: list[str]) -> list[str]:
    """What Envoy did that was not foretold; the best of the answers counts."""
    told = [_against(answer, seen, workloads) for answer in found.answers if answer.share > 0]
    problems = min(told, key=len) if told else ["no answer is foretold"]
    mark = seen["headers"].get(MARK)
    if mark is not None and (block := _block(found)) != mark:
        problems.append(f"decided by {mark}, not by {block}")
    if found.delay is not None and found.delay.share == 1 and seen["seconds"] < found.delay.seconds - TICK:
        problems.append(f"answered after {seen['seconds']:.3f} s, not after {found.delay.seconds:g}")
    if seen["got"] is not None:
        copies = [copied for copied in found.copies if copied.share == 1]
        if len(hits) != 1 + len(copies) or (copies and "o1" not in hits):
            problems.append(f"{hits} got it, {len(copies)} copies are foretold")
    return problems


def _against(answer: Answer, seen: Json, workloads: list[str]) -> list[str]:
    got, out = seen["got"], []
    if answer.status:
        if got is not None or seen["status"] != answer.status:
            return [
                f"answered {seen['status']} by {'a workload' if got else 'the proxy'}, not {answer.status} by the proxy"
            ] * 9
        if seen["headers"].get("location", "") != answer.location:
            out.append(f"Location {seen['headers'].get('location')}, not {answer.location}")
    elif got is None:
        return [f"answered {seen['status']} by the proxy, not by {answer.cluster}"] * 9
    else:
        if got["name"] not in workloads_of(answer.cluster, workloads):
            return [f"answered by {got['name']}, not by {answer.cluster}"] * 9
        arrived: dict[str, str] = {}
        for name, value in got["headers"]:
            arrived[name] = f"{arrived[name]},{value}" if name in arrived else value
        if got["path"] != answer.path:
            out.append(f"path {got['path']}, not {answer.path}")
        if arrived["host"] != answer.host:
            out.append(f"host {arrived['host']}, not {answer.host}")
        out += [
            f"request header {name}: {arrived.get(name)}, not {value}"
            for name, value in answer.request_headers.items()
            if arrived.get(name) != value
        ]
    return out + [
        f"response header {name}: {seen['headers'].get(name)}, not {value}"
        for name, value in answer.response_headers.items()
        if seen["headers"].get(name) != value
    ]


def workloads_of(cluster: str, everyone: list[str]) -> list[str]:
    """By the cluster's name alone: version v1 or v2 of target, both, or the other one."""
    if cluster.count("|") != 3:
        return []
    _direction, _port, subset, host = cluster.split("|")
    if host.startswith(("other.", "side.")):
        return ["o1"]
    return [subset] if subset else [name for name in everyone if name != "o1"]


def _block(found: Explanation) -> str:
    """``name/number`` of the block that the explanation names."""
    texts = [step.text for step in found.steps if step.name == "route"]
    named = re.search(r"VirtualService [^ /]+/([^ ]+) http\[(\d+)\]", texts[0]) if texts else None
    return f"{named[1]}/{named[2]}" if named else ""


def category(answer: Answer) -> str:
    """By whom such an answer comes: workloads, or the proxy."""
    return "proxy" if answer.status else "/".join(workloads_of(answer.cluster, ["v1", "v2"]))


def shares_of(found: Explanation) -> dict[str, float]:
    """Category: its share; empty where two cannot be told apart, or there is only one."""
    out: dict[str, float] = defaultdict(float)
    for answer in found.answers:
        out[category(answer)] += answer.share
    names = [name for key in out for name in key.split("/")]
    return dict(out) if len(out) > 1 and len(names) == len(set(names)) else {}


def lopsided(found: list[Explanation], draws: dict[int, list[Json]]) -> list[str]:
    """Splits that do not come as foretold: the squares of all deviations together, six deviations off their mean."""
    total, mean, variance = 0.0, 0.0, 0.0
    for index, seen in draws.items():
        key, share = next(iter(shares_of(found[index]).items()))
        number, spread = len(seen), len(seen) * share * (1 - share)
        hits = sum((item["got"]["name"] if item["got"] else "proxy") in key.split("/") for item in seen)
        total += (hits - number * share) ** 2 / spread
        mean += 1
        variance += 2 + (1 - 6 * share * (1 - share)) / spread
    if draws and total > mean + 6 * variance**0.5:
        return [f"{len(draws)} splits, {total:.0f} squared deviations where {mean:.0f} are to be expected"]
    return []


def explained(documents_text: str, asked: list[Asked]) -> list[Explanation]:
    """Each request explained from the documents alone, as ``refmesh explain -f`` does."""
    settings = replace(SETTINGS, outbound_policy=OutboundPolicy.REGISTRY_ONLY)
    mesh = manifests_mesh.of_documents(documents.load_all(documents_text, "mesh.yaml"), settings, NAMESPACE)
    explainers = {
        at: Explainer(mesh, mesh.proxy(f"{NAMESPACE}/{name}")) for at, name in ((False, "tester-1"), (True, "edge-1"))
    }
    return [explainers[one.gateway].explain(request_of(one)) for one in asked]


async def main(directory: Path, number: int, seed: int) -> None:
    network()
    run(f"ip addr add {EDGE}/32 dev lo")
    started = time.monotonic()
    for address, name in NAMES.items():
        await asyncio.start_server(lambda r, w, name=name: echo(name, r, w), address, 8080)
    made, asked = cases(number, seed)
    everything = [*stage(), *made, *endpoints_of(made)]
    ready = {
        "apiVersion": "networking.istio.io/v1",
        **virtual_service("zz-ready", ["ready.test"], [{"directResponse": {"status": 218}}], gateways=["mesh", "edge"]),
    }
    mesh_config = {"mesh": "enableAutoMtls: false\noutboundTrafficPolicy: {mode: REGISTRY_ONLY}"}
    found = explained(documents.dump_all(everything), asked)
    thought = time.monotonic()
    kube = MemoryKube(
        *everything,
        {"kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"}, "data": mesh_config},
    )
    istiod, stop = Istiod(kube=kube, settings=SETTINGS), asyncio.Event()
    serving = asyncio.create_task(istiod.serve(stop))
    await istiod.ready.wait()
    kube.put(ready)
    envoys = [
        start(directory, "sidecar", istiod.ports.xds, CLIENT, 15000),
        start(directory, "router", istiod.ports.xds, EDGE, 15100),
    ]
    try:
        await applied()
        seen = await send_all(asked)
        draws: dict[int, list[Json]] = {index: [] for index, told in enumerate(found) if shares_of(told)}
        again = [index for index in draws for _ in range(REPEATS)]
        for index, happened in zip(again, await send_all([asked[index] for index in again], "again"), strict=True):
            draws[index].append(happened)
        assert istiod.hub is not None
        rejections = [entry["rejections"] for entry in status.syncz(istiod.hub) if entry["rejections"]]
        if len(sys.argv) > 4:
            await asyncio.to_thread(Path(sys.argv[4]).write_text, await asyncio.to_thread(dump))
    finally:
        for envoy in envoys:
            envoy.kill()
            envoy.wait()
    wrong = []
    for index, (one, told, happened) in enumerate(zip(asked, found, seen, strict=True)):
        if problems := differences(told, happened, ["v1", "v2"], HITS[str(index)]):
            wrong.append(
                {
                    "asked": str(one),
                    "problems": list(dict.fromkeys(problems)),
                    "steps": told.to_json(),
                    "seen": happened,
                }
            )
    statuses = Counter(str(item["status"]) for item in seen)
    print(json.dumps({  # noqa: T201
        "requests": len(seen), "documents": len(made), "differences": wrong, "lopsided": lopsided(found, draws),
        "kinds": Counter(one.kind for one in asked), "statuses": statuses, "rejections": rejections,
        "split": len(draws), "copied": sum(bool(one.copies) for one in found),
        "seconds": {"explain": round(thought - started, 1), "envoy": round(time.monotonic() - thought, 1)},
    }))  # fmt: skip
    stop.set()
    await serving


def start(directory: Path, kind: str, port: int, address: str, admin: int) -> subprocess.Popen[bytes]:
    """One Envoy, a sidecar's or a gateway's (``router``)."""
    config = bootstrap("DELTA_GRPC", port)
    config["node"]["id"] = (
        f"{kind}~{address}~{'edge-1' if kind == 'router' else 'tester-1'}.shop~shop.svc.cluster.local"
    )
    config["node"]["metadata"] = {"NAMESPACE": NAMESPACE}
    config["admin"]["address"]["socket_address"]["port_value"] = admin
    path = directory / f"{kind}.json"
    path.write_text(json.dumps(config))
    arguments = ["-c", str(path), "--disable-hot-restart", "--concurrency", "1", "-l", "warning"]
    with (directory / f"{kind}.log").open("w") as log:
        return subprocess.Popen([envoy_path(), *arguments], stdout=log, stderr=log)


async def applied() -> None:
    """Until both Envoys answer for the last VirtualService and both versions of target answer."""
    deadline = time.monotonic() + BUDGET_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            sidecar, gateway = Connection(VIP, 80), Connection(EDGE, EDGE_PORT)
            statuses = [(await one.send(Asked(kind="", host="ready.test"), ""))["status"] for one in (sidecar, gateway)]
            answers = [(await sidecar.send(Asked(kind="", host="target"), ""))["got"] for _ in range(8)]
            if statuses == [218, 218] and {item["name"] for item in answers if item} == {"v1", "v2"}:
                return
        await asyncio.sleep(0.02)
    raise SystemExit("not in time: the configuration")


def dump() -> str:
    """The sidecar's whole config dump."""
    with urllib.request.urlopen("http://127.0.0.1:15000/config_dump?include_eds", timeout=20) as answer:
        text: str = answer.read().decode()
    return text


if __name__ == "__main__":
    logging.basicConfig(level="WARNING", stream=sys.stderr)
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))

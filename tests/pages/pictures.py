"""The pictures of docs/pictures, drawn from the code: what injection makes of a pod, when certificates are renewed, who does what.

Pure but for asking the installed packages; test_pages_are_fresh compares and writes.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from html import escape

import yaml
from click.testing import CliRunner

from mesh_reference.agent.rotation import renewal_seconds, retry_seconds
from mesh_reference.cli import main

_STYLE = """<style>
text { font: 14px sans-serif; fill: #1a1a1a } .small { font-size: 12px } .mono { font: 12px monospace } .bold { font-weight: 600 }
.box { fill: #f4f6f8; stroke: #59636e } .own { fill: #e7f0e4; stroke: #3d6b35 } .side { fill: #e3ecf8; stroke: #2f5f9e }
.line { stroke: #59636e; fill: none } .life { fill: #2f5f9e; opacity: .25 } .used { fill: #2f5f9e } .dot { fill: #a33c2e }
@media (prefers-color-scheme: dark) {
 text { fill: #e6e6e6 } .box { fill: #22272e; stroke: #8b949e } .own { fill: #1f3320; stroke: #7fb374 }
 .side { fill: #1c2c42; stroke: #7aa7e0 } .line { stroke: #8b949e } .life, .used { fill: #7aa7e0 } .dot { fill: #e0786a } }
</style>"""
_ARROW = (
    '<defs><marker id="a" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
    '<path d="M0,0 L8,4 L0,8 z" class="dot"/></marker></defs>'
)
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: reviews, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  template:
    metadata: {labels: {app: reviews, version: v1}}
    spec:
      containers: [{name: app, image: shop/reviews:1, ports: [{containerPort: 8080}]}]
"""
FLOW = (
    ("mesh_reference.kube", "kube", "watches the API: VirtualServices, Services, EndpointSlices"),
    ("mesh_reference.store", "store", "keeps what is there, and what changed"),
    ("mesh_reference.model", "model", "reads documents into plain data: snapshot n"),
    ("mesh_reference.xds", "xds", "generates listeners, routes, clusters, endpoints; ADS with ACK and NACK"),
    ("mesh_reference.agent", "agent", "in each pod: carries ADS, serves SDS, starts Envoy"),
)
"""Package, its short name, what it does: the way of a VirtualService into Envoy."""
LIFE = timedelta(hours=24)
RATIO, JITTER = 0.5, 0.01
"""Share of the life that is left at renewal, and its spread: the agent's defaults."""


def flow() -> str:
    """Draw the way of a VirtualService into Envoy's route; every step is a package that exists."""
    for package, *_ in FLOW:
        if importlib.util.find_spec(package) is None:
            raise ValueError(f"there is no package {package}")
    steps = [("", "API server", "kubectl apply, admission webhooks: Galley's rules"), *FLOW]
    steps.append(("", "Envoy", "routes the requests of the pod, captured by iptables"))
    rows = []
    for number, (package, name, text) in enumerate(steps):
        y = 10 + number * 56
        rows.append(
            f'<rect x="10" y="{y}" width="620" height="40" rx="6" class="{"side" if package else "box"}"/>'
            f'<text x="24" y="{y + 25}" class="bold">{escape(name)}</text>'
            f'<text x="130" y="{y + 25}" class="small">{escape(text)}</text>'
        )
        if number:
            rows.append(f'<path d="M70,{y - 16} V{y}" class="line" marker-end="url(#a)"/>')
    return _svg(640, 10 + len(steps) * 56, "From a VirtualService to Envoy's route", _ARROW + "".join(rows))


def pod() -> str:
    """Draw what injection made of a pod with one container."""
    injected = next(one for one in _injected() if one["kind"] == "Deployment")["spec"]["template"]["spec"]
    rules = _said(["iptables", "-i", "*", "-b", "*", "-d", "15090,15021,15020", "--no-ipv6", "--dry-run"])
    ports = {
        name: _redirected(rules, chain) for name, chain in (("in", "ISTIO_IN_REDIRECT"), ("out", "ISTIO_REDIRECT"))
    }
    count = sum(line.startswith("-A") for line in rules.splitlines())
    own = {one["name"] for one in next(yaml.safe_load_all(DEPLOYMENT))["spec"]["template"]["spec"]["containers"]}
    containers = [
        *(("init", one) for one in injected.get("initContainers", ())),
        *(("", one) for one in injected["containers"]),
    ]
    rows, y = [], 40
    for role, one in containers:
        words = [f"container {one['name']}"]
        if role:
            words = [
                f"init container {one['name']}, {'keeps running (a native sidecar)' if one.get('restartPolicy') == 'Always' else 'ends'}"
            ]
        said = [f"{port.get('name', 'port')} {port['containerPort']}" for port in one.get("ports", ())]
        mounts = [mount["mountPath"] for mount in one.get("volumeMounts", ())]
        if one["name"] == "istio-init":
            said = [f"{count} iptables rules: outbound to {ports['out']}, inbound to {ports['in']}"]
        lines = [
            ", ".join(said),
            *(f"mounts {path}" for path in mounts if not path.startswith("/var/run/secrets/kubernetes")),
        ]
        lines = [line for line in lines if line]
        height = 34 + 18 * len(lines)
        rows.append(
            f'<rect x="30" y="{y}" width="580" height="{height}" rx="6" class="{"own" if one["name"] in own else "side"}"/>'
            f'<text x="44" y="{y + 22}" class="bold">{escape(words[0])}</text>'
        )
        rows += [
            f'<text x="44" y="{y + 42 + 18 * number}" class="mono">{escape(line)}</text>'
            for number, line in enumerate(lines)
        ]
        y += height + 12
    volumes = ", ".join(volume["name"] for volume in injected.get("volumes", ()))
    for number, line in enumerate(_wrapped(f"volumes added: {volumes}", 80)):
        rows.append(f'<text x="30" y="{y + 16 + 18 * number}" class="small">{escape(line)}</text>')
        last = y + 16 + 18 * number
    frame = f'<rect x="10" y="8" width="620" height="{last + 8}" rx="8" class="box"/><text x="24" y="30" class="bold">Pod reviews, after injection</text>'
    return _svg(640, last + 24, "A pod after injection", frame + "".join(rows))


def rotation() -> str:
    """Draw the lives of a workload's certificates over two days, and the pauses between tries while istiod is away."""
    day, left, scale = LIFE.total_seconds(), 130, 480 / (2.6 * LIFE.total_seconds())
    issued, rows = 0.0, []
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(4):
        at = begin + timedelta(seconds=issued)
        early, late = (
            renewal_seconds(now=at, issued=at, expires=at + LIFE, ratio=RATIO, jitter=jitter)
            for jitter in (JITTER, -JITTER)
        )
        x, y = left + issued * scale, 40 + number * 44
        rows.append(
            f'<text x="10" y="{y + 17}" class="small">certificate {number + 1}</text>'
            f'<rect x="{x:.1f}" y="{y}" width="{day * scale:.1f}" height="24" class="life"/>'
            f'<rect x="{x:.1f}" y="{y}" width="{(early + late) / 2 * scale:.1f}" height="24" class="used"/>'
            f'<rect x="{x + early * scale:.1f}" y="{y - 3}" width="{max((late - early) * scale, 2):.1f}" height="30" class="dot"/>'
        )
        issued += (early + late) / 2
    y = 40 + 4 * 44
    axis = "".join(
        f'<text x="{left + hours * 3600 * scale:.1f}" y="{y + 18}" class="small" text-anchor="middle">{hours} h</text>'
        for hours in range(0, 61, 12)
    )
    pauses = [retry_seconds(attempt, spread=0.0) for attempt in range(9)]
    said = (
        f"dark: in use; light: still valid; red: renewal, {early / 3600:.2f} to {late / 3600:.2f} h after the issue",
        f"while istiod is away: tries after {', '.join(f'{pause:g}' for pause in pauses)} s, and so on",
    )
    words = "".join(
        f'<text x="10" y="{y + 44 + 20 * number}" class="small">{escape(line)}</text>'
        for number, line in enumerate(said)
    )
    title = '<text x="10" y="22" class="bold">A workload\'s certificates, 24 hours each</text>'
    return _svg(640, y + 76, "Certificates of a workload over two days", title + "".join(rows) + axis + words)


def _svg(width: int, height: float, title: str, body: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" role="img" aria-label="{escape(title)}">'
        f"{_STYLE}{body}</svg>\n"
    )


def _wrapped(text: str, width: int) -> Sequence[str]:
    import textwrap

    return textwrap.wrap(text, width)


def _said(arguments: list[str]) -> str:
    result = CliRunner().invoke(main, arguments)
    if result.exit_code:
        raise ValueError(f"refmesh {' '.join(arguments)}: {result.output}")
    return result.output


def _injected() -> list[dict]:
    result = CliRunner().invoke(main, ["kube-inject", "-f", "-"], input=DEPLOYMENT)
    if result.exit_code:
        raise ValueError(result.output)
    return [one for one in yaml.safe_load_all(result.stdout) if one]


def _redirected(rules: str, chain: str) -> str:
    line = next(line for line in rules.splitlines() if line.startswith(f"-A {chain} ") and "--to-ports" in line)
    return line.rpartition(" ")[2]

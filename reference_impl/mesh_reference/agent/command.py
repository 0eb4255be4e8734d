"""``refmesh agent``: the sidecar container's program, with the commands and flags of Istio's pilot-agent.

Each command imports what it needs when it runs: ``istio-iptables`` and ``wait``
must not pay for gRPC.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from pathlib import Path

import click

from mesh_reference.agent import iptables_command
from mesh_reference.manual import ManualGroup

LEVELS = {"none": logging.CRITICAL, "warn": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}


@click.group("agent", cls=ManualGroup)
def command() -> None:
    """Run beside Envoy: bootstrap, SDS, rotation, health."""


command.add_command(iptables_command.command, "istio-iptables")


@command.command(
    "proxy",
    exit_codes={0: "ended by SIGTERM", 1: "it could not start or go on, for the reason told"},
    examples=("refmesh agent proxy sidecar --domain shop.svc.cluster.local",),
)
@click.argument("role", type=click.Choice(["sidecar", "router"]))
@click.option("--domain", default="", help="DNS domain of the pod's namespace, as in ns.svc.cluster.local.")
@click.option("--proxyLogLevel", "log_level", default="warning", show_default=True, help="Envoy's log level.")
@click.option(
    "--proxyComponentLogLevel", "component_log_level", default="misc:error", show_default=True, help="Of Envoy's parts."
)
@click.option(
    "--log_output_level", "agent_log_level", default="default:info", show_default=True, help="The agent's own."
)
@click.option("--concurrency", type=click.IntRange(min=0), default=0, help="Envoy's workers; 0 = by ProxyConfig, or 1.")
def proxy(
    *, role: str, domain: str, log_level: str, component_log_level: str, agent_log_level: str, concurrency: int
) -> None:
    """Run Envoy as this pod's sidecar, or as a gateway (router), until SIGTERM."""
    from mesh_reference.agent import environment

    _configure_logging(agent_log_level)
    paths = environment.Paths()
    problems: list[BaseException] = []
    try:
        settings = environment.read(
            os.environ,
            labels=_text(paths.pod_info / "labels"),
            annotations=_text(paths.pod_info / "annotations"),
            domain=os.path.expandvars(domain),
            concurrency=concurrency or None,
            role=role,
            paths=paths,
        )
        # Read when gRPC is imported: the system's resolver honours the pod's search domains.
        os.environ.setdefault("GRPC_DNS_RESOLVER", "native")
        from mesh_reference.agent import envoy
        from mesh_reference.agent import proxy as sidecar

        launch = envoy.Launch(
            binary=envoy.binary(),
            configuration=paths.config_directory / "envoy-rev.json",
            concurrency=settings.concurrency,
            log_level=log_level,
            component_log_level=component_log_level,
            drain_seconds=settings.drain_seconds,
            # A gateway's own listeners count as outbound.
            drain_everything=role == environment.ROUTER,
        )
        asyncio.run(sidecar.run(settings, launch))
    except* (environment.AgentError, OSError) as group:
        problems = list(group.exceptions)
    if problems:
        raise click.ClickException("; ".join(str(problem) for problem in problems))


@command.command(
    "wait",
    exit_codes={0: "ready", 1: "not in time"},
    examples=("refmesh agent wait --timeoutSeconds 30",),
)
@click.option("--url", default="http://localhost:15021/healthz/ready", show_default=True, help="What to ask.")
@click.option("--timeoutSeconds", "timeout_seconds", type=float, default=60.0, show_default=True, help="How long.")
@click.option(
    "--requestTimeoutMillis", "request_millis", type=float, default=500.0, show_default=True, help="For one answer."
)
@click.option("--periodMillis", "period_millis", type=float, default=500.0, show_default=True, help="Between attempts.")
def wait(*, url: str, timeout_seconds: float, request_millis: float, period_millis: float) -> None:
    """Wait until the proxy is ready."""
    deadline = time.monotonic() + timeout_seconds
    reason = "no attempt was made"
    while time.monotonic() < deadline:
        status, text = _ask("GET", url, request_millis / 1000)
        if status == 200:
            return
        reason = f"{status or 'no answer'}: {text.strip()}"
        time.sleep(period_millis / 1000)
    raise click.ClickException(f"the proxy was not ready in {timeout_seconds:g} s: {reason}")


@command.command(
    "request",
    exit_codes={0: "the answer is 200", 1: "no answer, or another status"},
    examples=("refmesh agent request --debug-port 15020 POST drain", "refmesh agent request GET config_dump"),
)
@click.option("--debug-port", type=int, default=15000, show_default=True, help="Envoy's admin port, or the agent's.")
@click.argument("method")
@click.argument("path")
def request(*, debug_port: int, method: str, path: str) -> None:
    """Make one request to this pod's Envoy or agent, and print the answer."""
    status, text = _ask(method, f"http://127.0.0.1:{debug_port}/{path.lstrip('/')}", 60)
    if status != 200:
        raise click.ClickException(f"{method} {path} on port {debug_port}: {status or 'no answer'}: {text.strip()}")
    click.echo(text, nl=False)


def _ask(method: str, url: str, seconds: float) -> tuple[int, str]:
    """Give status and body; status 0 with the reason when nothing answered."""
    import urllib.error
    import urllib.request

    # The pod's own proxy variables must not send a loopback request away.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, method=method), timeout=seconds) as answer:  # noqa: S310
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except OSError as error:
        return 0, str(error)


def _configure_logging(level: str) -> None:
    """Read Istio's ``scope:level`` list; only ``default`` has a meaning here."""
    levels = dict(part.partition(":")[::2] if ":" in part else ("default", part) for part in level.split(","))
    name = levels.get("default", "info")
    if name not in LEVELS:
        raise click.ClickException(f"--log_output_level: {name!r} is none of {', '.join(LEVELS)}")
    logging.basicConfig(
        level=LEVELS[name], stream=sys.stdout, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )


def _text(path: Path) -> str:
    """Read a file of the downward API; a pod without that volume has no labels to tell of."""
    return path.read_text() if path.exists() else ""

"""``refmesh istiod``: the control plane as a command. Options and environment in, `app.Istiod` out."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from mesh_reference import log_lines
from mesh_reference.errors import MeshError
from mesh_reference.manual import Manual
from mesh_reference.model.schema.duration import parse_duration
from mesh_reference.settings import Settings

LEVELS = ("debug", "info", "warning", "error")
COLLECT_AFTER = (10_000, 20, 20)
"""Thresholds of the garbage collector: each request leaves some hundred objects, which are freed without it."""
GRPC_EXPERIMENTS = "-event_engine_listener"
"""Servers read from their own polling thread: the pool of gRPC's event engine wakes another thread for each message,
and a push with its answer costs a third more CPU. gRPC reads this once, from the environment of that name."""


class _Duration(click.ParamType[float]):
    """Text as Go writes durations; seconds, more than none."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = parse_duration(str(value)) / 1e9
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds <= 0:
            self.fail(f"{value}: a life has more than no time", param, ctx)
        return seconds


DURATION = _Duration()


@click.command(
    name="istiod",
    cls=Manual,
    exit_codes={0: "ended by SIGTERM or SIGINT", 1: "it could not start or go on, for the reason told"},
    examples=(
        "refmesh istiod --context kind-mesh --listen 127.0.0.1",
        "refmesh istiod --revision canary --log-level debug",
    ),
)
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The API server to serve. Default: the Pod's own service account, else kubectl's default.",
)
@click.option("--context", help="Context of the kubeconfig.")
@click.option("--revision", envvar="REVISION", default="default", show_default=True, help="Name of this control plane.")
@click.option(
    "--namespace",
    envvar="POD_NAMESPACE",
    default="istio-system",
    show_default=True,
    help="Root namespace: home of the mesh config, the CA's Secret and mesh-wide policies.",
)
@click.option("--pod-name", envvar="POD_NAME", default="istiod", help="Name of this Pod.")
@click.option("--domain", envvar="DOMAIN", default="cluster.local", show_default=True, help="The cluster's DNS domain.")
@click.option("--cluster-id", envvar="CLUSTER_ID", default="Kubernetes", show_default=True, help="Name of the cluster.")
@click.option("--listen", default="0.0.0.0", show_default=True, help="Address of every port.")
@click.option("--xds-port", default=15010, show_default=True, help="ADS and CA, plaintext.")
@click.option("--secure-port", default=15012, show_default=True, help="ADS and CA, TLS and tokens.")
@click.option("--monitoring-port", default=15014, show_default=True, help="/metrics, /version.")
@click.option("--webhook-port", default=15017, show_default=True, help="Injection and validation, HTTPS.")
@click.option("--http-port", default=8080, show_default=True, help="/ready, /debug.")
@click.option(
    "--certificate-port",
    type=int,
    envvar="CA_CERTIFICATE_PORT",
    help="CA for callers who show a certificate of this mesh, mutual TLS. Default: closed.",
)
@click.option(
    "--default-workload-ttl",
    type=DURATION,
    envvar="DEFAULT_WORKLOAD_CERT_TTL",
    default="24h",
    show_default=True,
    help="Life of certificates that are asked for without one.",
)
@click.option(
    "--max-workload-ttl",
    type=DURATION,
    envvar="MAX_WORKLOAD_CERT_TTL",
    default="2160h",
    show_default=True,
    help="The longest life; more is refused.",
)
@click.option(
    "--ed25519/--no-ed25519",
    envvar="CA_ALLOW_ED25519",
    default=False,
    show_default=True,
    help="Whether Ed25519 keys get certificates.",
)
@click.option(
    "--log-level",
    type=click.Choice(LEVELS),
    envvar="LOG_LEVEL",
    default="info",
    show_default=True,
    help="How much is logged.",
)
def command(
    kubeconfig: Path | None,
    context: str | None,
    revision: str,
    namespace: str,
    pod_name: str,
    domain: str,
    cluster_id: str,
    listen: str,
    xds_port: int,
    secure_port: int,
    monitoring_port: int,
    webhook_port: int,
    http_port: int,
    certificate_port: int | None,
    default_workload_ttl: float,
    max_workload_ttl: float,
    ed25519: bool,
    log_level: str,
) -> None:
    """Run the control plane: Pilot, Citadel, Galley and the injector in one process.

    It watches Services, EndpointSlices, Pods, Nodes, VirtualServices, DestinationRules, Gateways,
    ServiceEntries, WorkloadEntries, Sidecars, PeerAuthentications and AuthorizationPolicies, and tells
    every connected Envoy what follows from them. A port of 0 takes any free one; the log names them all
    once /ready answers 200.

    `refmesh manifests | kubectl apply -f -` installs it into a cluster. Its HTTP port shows under /debug who is in step
    and what each proxy is told.

    Environment besides: ENABLE_NATIVE_SIDECARS (true, false, auto) and PROXY_IMAGE, for the injector;
    CA_TRUSTED_NODE_ACCOUNTS (namespace/name, with commas between them): accounts of node proxies, which
    may ask for the certificates of their node's pods.
    The mesh config is ConfigMap istio, key mesh, in the root namespace; changes are followed.
    """
    log_lines.configure(log_level)
    gc.set_threshold(*COLLECT_AFTER)
    from mesh_reference.webhooks.bundles import suffix

    defaults = Settings()
    settings = replace(
        defaults,
        revision=revision,
        service_name=defaults.service_name + suffix(revision),
        root_namespace=namespace,
        pod_namespace=namespace,
        pod_name=pod_name,
        domain=domain,
        cluster_id=cluster_id,
        listen_host=listen,
        xds_port=xds_port,
        secure_port=secure_port,
        monitoring_port=monitoring_port,
        webhook_port=webhook_port,
        http_port=http_port,
        certificate_port=certificate_port,
        default_workload_ttl=default_workload_ttl,
        max_workload_ttl=max_workload_ttl,
        ed25519=ed25519,
    )
    try:
        asyncio.run(_run(kubeconfig, context, settings))
    except (MeshError, OSError, ExceptionGroup) as error:
        cause = _first(error)
        if not isinstance(cause, MeshError | OSError):
            raise
        raise click.ClickException(str(cause)) from error


def _first(error: Exception) -> Exception:
    """The cause inside a task group's wrapping."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


async def _run(kubeconfig: Path | None, context: str | None, settings: Settings) -> None:
    os.environ.setdefault("GRPC_EXPERIMENTS", GRPC_EXPERIMENTS)
    from mesh_reference.app import Istiod
    from mesh_reference.kube.client import Kube

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with await Kube.connect(kubeconfig, context) as kube:
        await Istiod(kube=kube, settings=settings, environment=dict(os.environ)).serve(stop)

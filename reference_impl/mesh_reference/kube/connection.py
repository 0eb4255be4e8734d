"""Finds the API server and keeps the credentials fresh: in-cluster, a kubeconfig file, or the user's default.

The only module that imports ``kubernetes``: of that library the configuration and authentication are used, nothing else.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mesh_reference.errors import MeshError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where the API server is (``https://host:port``) and how to prove who calls."""

    server: str
    tls: ssl.SSLContext | None
    configuration: Any

    async def headers(self) -> dict[str, str]:
        """The authorization header, with the token read again when the library thinks it is old."""
        auth = await self.configuration.auth_settings()
        return {entry["key"]: entry["value"] for entry in auth.values() if entry.get("value")}


async def find(kubeconfig: Path | None, context: str | None) -> Connection:
    """Load the named kubeconfig; without one the Pod's own service account; outside a Pod the default kubeconfig."""
    # Slow to import (0.4 s): only the running control plane pays for it.
    import yaml
    from kubernetes.aio import config as library
    from kubernetes.aio.client import Configuration

    config: Any = library
    configuration = Configuration()
    try:
        if kubeconfig is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=configuration)
        else:
            await config.load_kube_config(
                config_file=str(kubeconfig) if kubeconfig else None,
                context=context,
                client_configuration=configuration,
                persist_config=False,
            )
    except (config.ConfigException, TypeError, AttributeError, KeyError, ValueError, yaml.YAMLError) as error:
        # The library checks little: a file that is no kubeconfig ends in whatever its code trips over.
        raise MeshError(
            f"no way to reach a Kubernetes API from kubeconfig {kubeconfig or 'default'}: {error}; "
            "name a kubeconfig with --kubeconfig"
        ) from error
    return Connection(server=configuration.host.rstrip("/"), tls=_tls(configuration), configuration=configuration)


def _tls(configuration: Any) -> ssl.SSLContext | None:
    if not configuration.host.startswith("https:"):
        return None
    tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data)
    if configuration.cert_file:
        tls.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    return tls

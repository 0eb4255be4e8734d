"""How the tests of these routes ask: with kubectl, with plain requests, on a WebSocket."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request

import pytest
import websocket

kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")

SPDY_ONLY = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}
TRANSPORTS = pytest.mark.parametrize("env", [{}, SPDY_ONLY], ids=["websocket", "spdy"])


def run(api, *args, stdin=None, env=None, timeout=20):
    return subprocess.run(
        ["kubectl", f"--kubeconfig={api.kubeconfig}", "-n", "shop", *args],
        input=stdin,
        capture_output=True,
        timeout=timeout,
        env={**os.environ, **(env or {}), "HOME": str(api.run_dir)},
        check=False,
    )


def get(api, path, *, method="GET", data=None, headers=None):
    """Give status, headers and body."""
    context = ssl.create_default_context(cafile=str(api.ca))
    given = {"Authorization": f"Bearer {api.token}", **(headers or {})}
    request = urllib.request.Request(api.url + path, method=method, data=data, headers=given)
    try:
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def connect(api, path, protocol):
    """Open a WebSocket."""
    return websocket.create_connection(
        api.url.replace("https", "wss") + path,
        sslopt={"ca_certs": str(api.ca)},
        header=[f"Authorization: Bearer {api.token}"],
        subprotocols=[protocol],
        timeout=10,
    )


POD = "/api/v1/namespaces/shop/pods/web-1"

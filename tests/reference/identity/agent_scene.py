"""One pod's worth of namespaces, played through: run as ``unshare -mn python agent_scene.py DIRECTORY``.

Starts small_istiod.py and the real agent (which starts the real Envoy), calls
Envoy over mutual TLS while its certificate rotates, kills Envoy once, ends the
agent, and prints what it saw as JSON.
"""

from __future__ import annotations

import http.client
import http.server
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

HERE = Path(__file__).parent
SECRETS = Path("/run/secrets")
BUDGET_SECONDS = 20
PROBERS = {
    "/app-health/app/readyz": {"httpGet": {"path": "/ready?full", "port": 18081}, "timeoutSeconds": 1},
    "/app-health/app/livez": {"tcpSocket": {"port": 18081}},
    "/app-health/app/startupz": {"httpGet": {"path": "/ready", "port": 18099}},
}


def run(*argv: str) -> None:
    subprocess.run(argv, check=True)


def pod(directory: Path) -> None:
    """Make the paths that the injector mounts."""
    run("ip", "link", "set", "lo", "up")
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    for name in ("upper", "work"):
        Path("/run/etc", name).mkdir(parents=True)
    run("mount", "-t", "overlay", "etc", "-o", "lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work", "/etc")
    for path in ("/etc/istio/proxy", "/etc/istio/pod", SECRETS / "istio", SECRETS / "tokens"):
        Path(path).mkdir(parents=True)
    Path("/etc/istio/pod/labels").write_text('app="reviews"\nversion="v1"\n')
    (SECRETS / "tokens/istio-token").write_text("good\n")


def get(port: int, path: str, method: str = "GET", source: str = "127.0.0.1") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2, source_address=(source, 0))
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError as error:
        return 0, repr(error)
    finally:
        connection.close()


def until(condition, what: str):
    deadline = time.monotonic() + BUDGET_SECONDS
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise SystemExit(f"not in time: {what}")


class App(http.server.BaseHTTPRequestHandler):
    """The application: remembers who asked for what."""

    asked: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self):
        self.asked.append((self.client_address[0], self.path))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"app_metric 1\n")

    def log_message(self, *_arguments):
        pass


def client_context(directory: Path) -> ssl.SSLContext:
    """A client with a certificate of the same root, made by the same service."""
    import grpc
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    from mesh_reference.ca.certificate_service_pb2 import IstioCertificateRequest, IstioCertificateResponse

    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    root = (SECRETS / "istio/root-cert.pem").read_bytes()
    with grpc.secure_channel("localhost:15012", grpc.ssl_channel_credentials(root)) as channel:
        answer = channel.unary_unary(
            "/istio.v1.auth.IstioCertificateService/CreateCertificate",
            IstioCertificateRequest.SerializeToString,
            IstioCertificateResponse.FromString,
        )(
            IstioCertificateRequest(csr=csr.public_bytes(serialization.Encoding.PEM).decode()),
            metadata=(("authorization", "Bearer good"),),
        )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "client.pem").write_bytes(pem + "".join(answer.cert_chain).encode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=root.decode())
    context.load_cert_chain(directory / "client.pem")
    return context


def ask(tls: ssl.SSLSocket) -> bytes:
    tls.sendall(b"GET / HTTP/1.1\r\nhost: reviews\r\n\r\n")
    data = b""
    while not data.endswith(b"hello"):
        chunk = tls.recv(4096)
        if not chunk:
            raise ConnectionError("closed")
        data += chunk
    return data


def handshake(context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(socket.create_connection(("127.0.0.1", 9443), timeout=2))


def watch_rotation(context: ssl.SSLContext, rotations: int) -> dict[str, object]:
    """Call on new connections and on one old one until the serial has changed ``rotations`` times."""
    serials, uris, failures, calls = [], set(), [], 0
    old = handshake(context)
    ask(old)
    deadline = time.monotonic() + BUDGET_SECONDS
    while len(serials) <= rotations and time.monotonic() < deadline:
        try:
            with handshake(context) as tls:
                certificate = tls.getpeercert()
                ask(tls)
            calls += 1
            if certificate["serialNumber"] not in serials:
                serials.append(certificate["serialNumber"])
            uris.update(value for kind, value in certificate["subjectAltName"] if kind == "URI")
            ask(old)
        except OSError as error:
            failures.append(repr(error))
        time.sleep(0.01)
    old.close()
    return {"serials": len(serials), "uris": sorted(uris), "failures": failures, "calls": calls}


def without_certificate(root: Path) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(root)
    try:
        with handshake(context) as tls:
            ask(tls)
    except OSError as error:
        return type(error).__name__
    return "answered"


def envoy_of(agent: int) -> int:
    children = Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
    return int(children[0]) if children else 0


def main(directory: Path) -> None:
    pod(directory)
    istiod = subprocess.Popen([sys.executable, HERE / "small_istiod.py", SECRETS / "istio"], stdout=subprocess.PIPE)
    istiod.stdout.readline()
    app = http.server.ThreadingHTTPServer(("0.0.0.0", 18081), App)
    threading.Thread(target=app.serve_forever, daemon=True).start()
    environment = {
        **os.environ,
        "POD_NAME": "reviews-1",
        "POD_NAMESPACE": "shop",
        "INSTANCE_IP": "127.0.0.1",
        "SERVICE_ACCOUNT": "reviews",
        "CA_ADDR": "localhost:15012",
        "PROXY_CONFIG": '{"discoveryAddress": "localhost:15012", "proxyMetadata": {"SECRET_TTL": "2s"}}',
        "ISTIO_KUBE_APP_PROBERS": json.dumps(PROBERS),
        "ISTIO_PROMETHEUS_ANNOTATIONS": '{"scrape": "true", "port": "18081", "path": "/metrics"}',
    }
    started = time.monotonic()
    argv = [sys.executable, "-m", "mesh_reference.cli", "agent"]
    log = (directory / "agent.log").open("w")
    agent = subprocess.Popen(
        [*argv, "proxy", "sidecar", "--domain", "shop.svc.cluster.local"],
        env=environment, stdout=log, stderr=subprocess.STDOUT,
    )  # fmt: skip
    early = until(lambda: get(15020, "/healthz/ready")[0], "the status port")
    until(lambda: get(15021, "/healthz/ready") == (200, "ready\n"), "readiness")
    facts: dict[str, object] = {"early": early, "ready_seconds": time.monotonic() - started}
    ticks = Path(f"/proc/{agent.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    facts["agent_cpu_seconds"] = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    facts["rotation"] = watch_rotation(client_context(directory), 3)
    facts["without certificate"] = without_certificate(SECRETS / "istio/root-cert.pem")
    facts["probes"] = {path: get(15020, path)[0] for path in (*PROBERS, "/app-health/app/other")}
    facts["asked"] = sorted(set(App.asked))
    metrics = get(15020, "/stats/prometheus")[1]
    facts["metrics"] = ["envoy_server_live" in metrics, "app_metric 1" in metrics]
    facts["envoy metrics"] = get(15090, "/stats/prometheus")[0]
    facts["quit by GET"] = get(15020, "/quitquitquit")[0]
    sockets = (SECRETS / "workload-spiffe-uds/socket", Path("/etc/istio/proxy/XDS"))
    facts["sockets"] = [oct(path.stat().st_mode & 0o777) for path in sockets]
    facts["wait"] = subprocess.run([*argv, "wait"], check=False).returncode
    facts["request"] = subprocess.run(
        [*argv, "request", "GET", "server_info"], check=False, capture_output=True, text=True
    ).stdout
    facts["request"] = json.loads(facts["request"])["node"]["id"]

    first = envoy_of(agent.pid)
    os.kill(first, signal.SIGKILL)
    until(lambda: envoy_of(agent.pid) not in {0, first}, "a new Envoy")
    until(lambda: get(15021, "/healthz/ready")[0] == 200, "readiness after Envoy's death")
    facts["after Envoy's death"] = watch_rotation(client_context(directory), 0)["failures"]

    before = time.monotonic()
    facts["drain"] = subprocess.run([*argv, "request", "--debug-port=15020", "POST", "drain"], check=False).returncode
    agent.send_signal(signal.SIGTERM)
    facts["exit"] = agent.wait(timeout=10)
    facts["exit_seconds"] = time.monotonic() - before
    istiod.terminate()
    print(json.dumps(facts))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))

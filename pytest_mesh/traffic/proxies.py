"""What a pod's proxy says of its own configuration, over its admin port. It reads; it changes nothing."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from pytest_mesh.contracts import Json
from pytest_mesh.failures import Infrastructure, NotConverged, hidden

__tracebackhide__ = hidden

Fetch = Callable[[str], bytes]
"""GETs a path of the admin port; raises ``Infrastructure``."""

QUIET_SECONDS = 0.3
"""How long a configuration must stay the same to count as settled."""
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """The proxy of one pod."""

    pod: str
    fetch: Fetch

    def config_dump(self) -> Json:
        """Give the configuration, endpoints included."""
        dump: Json = json.loads(self.raw_config_dump())
        return dump

    def raw_config_dump(self) -> bytes:
        """Give the text of the configuration, unread: for what is kept and rarely looked at."""
        return self.fetch("/config_dump?include_eds")

    def section(self, name: str) -> Json:
        """Give one part of the dump: ``Bootstrap``, ``Clusters``, ``Endpoints``, ``Listeners``, ``Routes``, ``Secrets``.

        Raises ``Infrastructure`` when the proxy has no such part.
        """
        sections = self.config_dump().get("configs", ())
        wanted = f"{name}ConfigDump"
        for section in sections:
            if str(section.get("@type", "")).rpartition(".")[2] == wanted:
                found: Json = section
                return found
        have = ", ".join(str(one.get("@type", "")).rpartition(".")[2].removesuffix("ConfigDump") for one in sections)
        raise Infrastructure(f"the proxy of {self.pod} has no section {name!r} (it has: {have})")

    def routes(self) -> list[Json]:
        """Give the route configurations that came from the control plane."""
        return [one["route_config"] for one in self.section("Routes").get("dynamic_route_configs", ())]

    def certificates(self) -> list[Json]:
        """Give the certificates in use: ``cert_chain`` and ``ca_cert``, each with serial, SANs and expiry."""
        found: list[Json] = json.loads(self.fetch("/certs")).get("certificates", [])
        return found

    def stats(self, pattern: str = "") -> dict[str, int]:
        """Give counters and gauges by name; ``pattern`` is a regular expression that the proxy applies."""
        text = self.fetch(f"/stats?filter={pattern}" if pattern else "/stats").decode()
        pairs = (line.partition(": ") for line in text.splitlines())
        return {name: int(value) for name, _, value in pairs if value.isdecimal()}

    def endpoint_addresses(self) -> set[str]:
        """Give the IP addresses of every endpoint that the proxy would send to."""
        data = json.loads(self.fetch("/clusters?format=json"))
        return {
            host["address"]["socket_address"]["address"]
            for cluster in data.get("cluster_statuses", ())
            for host in cluster.get("host_statuses", ())
            if "socket_address" in host.get("address", {})
        }


def fingerprint(dump: Json) -> str:
    """Give a digest of what the control plane sent; times and the order of sections do not enter. Pure."""
    sections = sorted(
        json.dumps(_without_times(section), sort_keys=True)
        for section in dump.get("configs", ())
        if not str(section.get("@type", "")).endswith(("BootstrapConfigDump", "SecretsConfigDump"))
    )
    return hashlib.sha256("\n".join(sections).encode()).hexdigest()


def wait_endpoints(proxies: Sequence[Proxy], addresses: Collection[str], *, seconds: float) -> None:
    """Wait until every proxy knows every pod address; raises ``NotConverged``."""
    deadline = time.monotonic() + seconds
    for proxy in proxies:
        while missing := set(addresses) - proxy.endpoint_addresses():
            if time.monotonic() > deadline:
                raise NotConverged(
                    f"the proxy of {proxy.pod} does not know the endpoints {', '.join(sorted(missing))} "
                    f"after {seconds:g} s"
                )
            time.sleep(_POLL_SECONDS)


def wait_settled(proxies: Sequence[Proxy], before: dict[str, str], *, change_seconds: float, seconds: float) -> bool:
    """Wait until each proxy's configuration differs from ``before`` and then stays the same.

    A proxy that ``before`` does not name has only to stay the same. One that
    does not change within ``change_seconds`` may be one that the documents do
    not concern. Gives whether every one changed; raises ``NotConverged`` when a
    configuration does not come to rest within ``seconds``.
    """
    started = time.monotonic()
    last: dict[str, tuple[str, float]] = {}
    resting: dict[str, bool] = {}
    while len(resting) < len(proxies):
        for proxy in proxies:
            if proxy.pod in resting:
                continue
            now = fingerprint(proxy.config_dump())
            instant = time.monotonic()
            if last.get(proxy.pod, ("", 0.0))[0] != now:
                last[proxy.pod] = (now, instant)
            old = before.get(proxy.pod)
            changed = old is None or now != old
            if (changed or instant - started > change_seconds) and instant - last[proxy.pod][1] >= QUIET_SECONDS:
                resting[proxy.pod] = changed
            elif instant - started > seconds:
                raise NotConverged(f"the configuration of {proxy.pod}'s proxy does not come to rest in {seconds:g} s")
        time.sleep(_POLL_SECONDS)
    return all(resting.values())


def raw_config_dumps(proxies: Sequence[Proxy]) -> dict[str, bytes]:
    """Give each proxy's configuration by pod, unread; one that does not answer is left out."""
    found = {}
    for proxy in proxies:
        try:
            found[proxy.pod] = proxy.raw_config_dump()
        except Infrastructure:
            continue
    return found


def _without_times(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key != "last_updated"}
    if isinstance(value, list):
        items = [_without_times(item) for item in value]
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
    return value

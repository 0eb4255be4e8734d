"""What an outage of istiod does to traffic (docs/identity.md has the table): agents and authority, a clock that is turned.

Pods hold certificates by the agent's own code; the kubelet brings a changed bundle to each pod at another moment, up to a
minute later; every second each pod greets each other one on a new connection. What is counted is who is refused.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

sys.path.insert(0, str(Path(__file__).parent))

import virtual_time

from mesh_reference.agent import environment
from mesh_reference.agent.environment import AgentError
from mesh_reference.agent.held_certificate import leads_to
from mesh_reference.agent.workload_certificates import WorkloadCertificates
from mesh_reference.ca.authority import Authority, Identity, SignerError
from mesh_reference.ca.succession import Succession

BEGIN = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
KUBELET_SECONDS = (5, 25, 58)
"""When each pod's kubelet looks at ConfigMaps again, after a change."""
AWAY_SECONDS = 600


_verifies = functools.lru_cache(maxsize=1024)(leads_to)


@dataclass
class Istiod:
    """A control plane that may be away; ``published`` is what is in every namespace's ConfigMap."""

    authority: Succession
    clock: Callable[[], datetime]
    published: str = ""
    is_up: bool = True
    asked: int = 0

    def publish(self) -> None:
        self.published = self.authority.root_pem


@dataclass
class Pod:
    """One workload: its mounted bundle, its agent, and whom it let in."""

    name: str
    istiod: Istiod
    directory: Path
    ttl: str
    certificates: WorkloadCertificates = field(init=False)

    def __post_init__(self) -> None:
        self.root = self.directory / f"{self.name}.pem"
        self.mount()
        settings = environment.read(
            {"POD_NAME": self.name, "POD_NAMESPACE": "shop", "INSTANCE_IP": "10.0.0.1", "SECRET_TTL": self.ttl},
            paths=environment.Paths(root=self.root),
        )
        self.certificates = WorkloadCertificates(self, settings, clock=self.istiod.clock)

    def mount(self) -> None:
        """Do the kubelet's work."""
        self.root.write_text(self.istiod.published)

    async def create_certificate(self, csr_pem: str, ttl_seconds: int) -> list[str]:
        """Ask istiod, whose own certificate must be one of a mounted root."""
        istiod = self.istiod
        istiod.asked += 1
        if not istiod.is_up:
            raise AgentError("istiod is away")
        authority = istiod.authority.current
        if not leads_to(authority.certificate.public_bytes(Encoding.PEM), self.root.read_bytes()):
            raise AgentError("istiod's certificate is of a root that is not mounted")
        identity = Identity(trust_domain="cluster.local", namespace="shop", service_account=self.name)
        leaf = authority.issue(csr_pem, identity, ttl=timedelta(seconds=ttl_seconds), now=istiod.clock())
        istiod.authority.note(self.name, leaf.not_valid_after_utc, under=authority)
        return authority.chain(leaf)

    def admits(self, other: Pod) -> bool:
        """Would this pod's proxy take the other's certificate?"""
        mine, theirs = self.certificates.current, other.certificates.current
        if mine is None or theirs is None:
            return False
        return theirs.expires > self.istiod.clock() and _verifies(theirs.chain_pem, mine.root_pem)


class Town:
    """Pods, istiod, and a record of who could not talk to whom, second by second."""

    def __init__(self, directory: Path, ttl: str) -> None:
        self.clock = virtual_time.clock(BEGIN)
        self.directory = directory
        first = Authority.create("cluster.local", now=BEGIN - timedelta(days=1))
        self.istiod = Istiod(authority=Succession(first, clock=self.clock), clock=self.clock)
        self.istiod.publish()
        self.pods = [Pod(name=name, istiod=self.istiod, directory=directory, ttl=ttl) for name in ("a", "b", "c")]
        self.refusals: list[tuple[float, str]] = []
        self.unready: list[float] = []

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(1)
            at = asyncio.get_running_loop().time()
            for one in self.pods:
                if one.certificates.why_not_ready(self.clock()):
                    self.unready.append(at)
                for other in self.pods:
                    if other is not one and not (one.admits(other) and other.admits(one)):
                        self.refusals.append((at, f"{one.name}->{other.name}"))

    async def publish(self) -> None:
        """Have istiod write the ConfigMaps; the kubelets follow, each in its own time."""
        self.istiod.publish()
        began = asyncio.get_running_loop().time()
        for pod, seconds in zip(self.pods, KUBELET_SECONDS, strict=True):
            await asyncio.sleep(began + seconds - asyncio.get_running_loop().time())
            pod.mount()

    def become(self, authority: Authority) -> None:
        """Restart istiod with another authority: nothing of the old process's ledger is left."""
        self.istiod.authority = Succession(authority, clock=self.clock)

    @property
    def span(self) -> tuple[float, float] | None:
        """When refusals began and ended."""
        return (self.refusals[0][0], self.refusals[-1][0]) if self.refusals else None


def play(directory: Path, ttl: str, story) -> Town:
    async def main() -> Town:
        town = Town(directory, ttl)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(pod.certificates.run()) for pod in town.pods]
            await asyncio.gather(*(pod.certificates.newer_than(None) for pod in town.pods))
            running.append(tasks.create_task(town.watch()))
            await story(town)
            for one in running:
                one.cancel()
        return town

    return virtual_time.run(main())


@pytest.fixture(autouse=True)
def _quiet():
    logging.getLogger("mesh_reference").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("mesh_reference").setLevel(logging.NOTSET)


async def killed_for_ten_minutes(town: Town) -> None:
    town.istiod.is_up = False
    await asyncio.sleep(AWAY_SECONDS)
    town.istiod.is_up = True
    await asyncio.sleep(120)


def test_ten_minutes_without_istiod_are_not_noticed_by_certificates_of_a_day(tmp_path):
    town = play(tmp_path, "24h", killed_for_ten_minutes)

    assert (town.refusals, town.unready, town.istiod.asked) == ([], [], 3)


def test_ten_minutes_without_istiod_are_not_noticed_where_half_a_life_is_longer_than_what_is_left_of_them(tmp_path):
    town = play(tmp_path, "15m", killed_for_ten_minutes)

    assert (town.refusals, town.unready) == ([], [])
    assert all(pod.certificates.current.issued > BEGIN + timedelta(seconds=AWAY_SECONDS) for pod in town.pods)


def test_a_certificate_that_ends_while_istiod_is_away_stops_traffic_until_it_is_back(tmp_path):
    town = play(tmp_path, "8m", killed_for_ten_minutes)

    begin, end = town.span
    assert begin == pytest.approx(8 * 60, abs=2)
    assert AWAY_SECONDS <= end <= AWAY_SECONDS + 12, "the last try before it was back is up to 11 s ago"
    # The last tenth of the life, here 48 s.
    assert town.unready[0] == pytest.approx(8 * 60 - 48, abs=2)
    assert town.unready[-1] <= end + 1


def test_while_istiod_is_away_it_is_asked_ever_more_seldom(tmp_path):
    town = play(tmp_path, "8m", killed_for_ten_minutes)

    # From half life on, 6 minutes: seven tries within 13 s, then one every 10 s.
    assert 3 * 30 < town.istiod.asked < 3 * 55


def test_a_restart_with_the_same_secret_is_not_noticed(tmp_path):
    async def story(town: Town) -> None:
        kept = town.istiod.authority.current
        town.istiod.is_up = False
        await asyncio.sleep(20)
        town.become(
            Authority.load(kept.certificate.public_bytes(Encoding.PEM).decode(), kept.key_pem(), kept.trust_domain)
        )
        town.istiod.is_up = True
        await town.publish()
        await asyncio.sleep(1200)

    town = play(tmp_path, "15m", story)

    assert (town.refusals, town.unready) == ([], [])
    assert all(pod.certificates.current.issued > BEGIN + timedelta(seconds=60) for pod in town.pods)


def a_new_root(town: Town) -> Authority:
    return Authority.create("cluster.local", now=town.clock())


@pytest.mark.parametrize("ttl", ["24h", "15m"])
def test_a_lost_secret_parts_the_mesh_until_the_last_kubelet_has_brought_the_new_root(tmp_path, ttl):
    async def story(town: Town) -> None:
        await asyncio.sleep(60)
        town.become(a_new_root(town))
        await town.publish()
        await asyncio.sleep(60)

    town = play(tmp_path, ttl, story)

    begin, end = town.span
    assert begin == pytest.approx(60 + KUBELET_SECONDS[0], abs=2)
    assert end == pytest.approx(60 + KUBELET_SECONDS[-1], abs=2)
    apart = {pair for at, pair in town.refusals if 60 + KUBELET_SECONDS[0] + 2 < at < 60 + KUBELET_SECONDS[1]}
    assert apart == {"a->b", "b->a", "a->c", "c->a"}, "pods that have not got the new root yet still talk to each other"
    assert all(len(x509.load_pem_x509_certificates(pod.certificates.current.root_pem)) == 1 for pod in town.pods)


def test_a_new_root_at_once_is_refused_by_an_istiod_that_runs(tmp_path):
    async def story(town: Town) -> None:
        before = town.istiod.authority.current
        with pytest.raises(SignerError, match="which no workload knows yet"):
            await town.istiod.authority.replace(a_new_root(town))
        assert town.istiod.authority.current is before
        await asyncio.sleep(900)

    assert play(tmp_path, "15m", story).refusals == []


def test_a_new_root_by_three_steps_is_not_noticed(tmp_path):
    async def story(town: Town) -> None:
        old, new = town.istiod.authority.current, a_new_root(town)

        def authority(signing: Authority, *roots: Authority) -> Authority:
            return Authority(
                certificate=signing.certificate,
                key=signing._key,
                trust_domain="cluster.local",
                roots=[root.certificate for root in roots],
            )

        for step in (authority(old, old, new), authority(new, old, new), authority(new, new)):
            await town.istiod.authority.replace(step)
            await town.publish()
            await asyncio.sleep(460)  # every certificate of 15 minutes is renewed

    town = play(tmp_path, "15m", story)

    assert (town.refusals, town.unready) == ([], [])
    roots = {pod.certificates.current.root_pem for pod in town.pods}
    assert roots == {town.istiod.published.encode()}

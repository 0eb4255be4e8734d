"""A root's succession: add, switch, remove; whoever would be cut off by a step stops it."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from mesh_reference.ca import authority, roots, succession
from mesh_reference.kube.resources import CONFIG_MAPS, NAMESPACES, SECRETS

DAY = timedelta(days=1)
NAMES = ("alpha", "beta", "gamma")


@pytest.fixture(scope="module")
def cas(make_ca):
    return {name: make_ca(name, now=datetime.now(UTC)) for name in NAMES}


@pytest.fixture(scope="module")
def make(cas):
    def make(signing: str, *bundle: str) -> authority.Authority:
        return authority.Authority(
            certificate=cas[signing].certificate,
            key=cas[signing].key,
            trust_domain="cluster.local",
            roots=[cas[name].certificate for name in bundle],
        )

    return make


def cacerts(cas, signing: str, *bundle: str) -> dict:
    files = {
        "ca-cert.pem": cas[signing].pem,
        "ca-key.pem": cas[signing].key_pem,
        "cert-chain.pem": cas[signing].pem,
        "root-cert.pem": b"".join(cas[name].pem for name in bundle),
    }
    data = {name: base64.b64encode(text).decode() for name, text in files.items()}
    return {"metadata": {"name": "cacerts", "namespace": "istio-system"}, "data": data}


THREE_STEPS = (("alpha", "alpha", "beta"), ("beta", "alpha", "beta"), ("beta", "beta"))


def test_three_steps_lead_from_one_root_to_another(make):
    async def run() -> None:
        live = succession.Succession(make("alpha", "alpha"))
        for step in THREE_STEPS:
            assert await live.replace(make(*step))
        assert not await live.replace(make("beta", "beta"))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("alpha", "alpha"), ("beta", "beta")),
        (("alpha", "alpha"), ("beta", "alpha", "beta")),
        (("beta", "alpha", "beta"), ("gamma", "alpha", "beta", "gamma")),
    ],
    ids=["replaced at once", "added and switched", "a third one"],
)
def test_nobody_signs_under_a_root_that_was_not_there_before(make, before, after):
    async def run() -> None:
        live = succession.Succession(make(*before))
        with pytest.raises(authority.SignerError, match="which no workload knows yet: first add"):
            await live.replace(make(*after))
        assert live.root_pem == make(*before).root_pem

    asyncio.run(run())


def test_a_root_stays_as_long_as_a_newest_certificate_needs_it(make):
    clock = [datetime.now(UTC)]

    async def run() -> None:
        live = succession.Succession(make("alpha", "alpha"), clock=lambda: clock[0])
        live.note("pod-1", clock[0] + DAY, under=live.current)
        live.note("pod-2", clock[0] + 2 * DAY, under=live.current)
        for step in THREE_STEPS[:2]:
            await live.replace(make(*step))
        live.note("pod-1", clock[0] + DAY, under=live.current)  # renewed
        with pytest.raises(authority.SignerError, match=r"takes away O=alpha .*1 certificates in use"):
            await live.replace(make("beta", "beta"))
        clock[0] += 2 * DAY  # pod-2 is gone, its certificate ran out
        assert await live.replace(make("beta", "beta"))

    asyncio.run(run())


def test_istiods_own_certificate_counts_until_it_is_made_anew(make):
    async def run() -> None:
        live = succession.Succession(make("alpha", "alpha"))
        live.issue_server_certificate(["istiod"])
        for step in THREE_STEPS[:2]:
            await live.replace(make(*step))
        with pytest.raises(authority.SignerError, match="or restart istiod"):
            await live.replace(make("beta", "beta"))
        live.issue_server_certificate(["istiod"])
        assert await live.replace(make("beta", "beta"))

    asyncio.run(run())


def test_a_renewed_root_with_the_same_key_is_no_stranger(signer, now):
    renewed = signer.renewed(now + 300 * DAY)
    assert renewed.certificate != signer.certificate
    assert renewed.certificate.not_valid_after_utc == now + 300 * DAY + authority.ROOT_LIFETIME
    assert succession.unlawful(signer, renewed, [signer.certificate]) == ""


def test_a_leaf_of_the_old_root_verifies_by_the_renewed_one(signer, reviews, make_csr, now):
    renewed = signer.renewed(now + DAY)
    before, after = (
        x509.load_pem_x509_certificate(one.issue(make_csr(), reviews, ttl=DAY, now=at).pem.encode())
        for one, at in ((signer, now), (renewed, now + DAY))
    )
    before.verify_directly_issued_by(renewed.certificate)
    after.verify_directly_issued_by(signer.certificate)


def test_a_root_is_due_in_the_last_fifth_of_its_life(signer, now):
    begins, ends = signer.certificate.not_valid_before_utc, signer.certificate.not_valid_after_utc
    assert not roots.renewal_due(signer.certificate, now)
    assert not roots.renewal_due(signer.certificate, begins + (ends - begins) * 0.799)
    assert roots.renewal_due(signer.certificate, begins + (ends - begins) * 0.801)
    assert roots.renewal_due(signer.certificate, ends + DAY)


steps = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES), min_size=1)).filter(
        lambda step: step[0] in step[1]
    ),
    max_size=12,
)


@given(steps=steps, renewals=st.lists(st.booleans(), min_size=12, max_size=12))
def test_whatever_the_operator_writes_no_two_workloads_lose_each_other(make, cas, steps, renewals):
    """The law: each workload's leaf verifies by the bundle of every other, one step apart at most."""

    async def run() -> None:
        live = succession.Succession(make("alpha", "alpha"))
        ends = datetime.now(UTC) + DAY
        held = dict.fromkeys(("old", "new"), (live.current.anchor, live.current.roots))
        for pod in held:
            live.note(pod, ends, under=live.current)
        for (signing, bundle), renew in zip(steps, renewals, strict=False):
            before = live.current
            try:
                await live.replace(make(signing, *sorted(bundle)))
            except authority.SignerError:
                assert live.current is before
                continue
            # Every pod has the bundle of the step before by now, and "new" renews at once.
            held = {pod: (anchor, before.roots) for pod, (anchor, _) in held.items()}
            for pod in ("old", "new") if renew else ("new",):
                live.note(pod, ends, under=live.current)
                held[pod] = (live.current.anchor, live.current.roots)
            for anchor, _ in held.values():
                assert all(anchor in trusted for _, trusted in held.values())

    asyncio.run(run())


def test_the_ledger_forgets_what_has_expired(make):
    clock = [datetime.now(UTC)]
    live = succession.Succession(make("alpha", "alpha"), clock=lambda: clock[0])
    for number in range(50_000):
        clock[0] += timedelta(seconds=1)
        live.note(f"pod-{number}", clock[0] + timedelta(seconds=30), under=live.current)
    assert len(live._newest) <= 2 * succession.PRUNE_EVERY


@pytest.fixture
def store(memory_store):
    memory_store.put(NAMESPACES, {"metadata": {"name": "shop"}})
    return memory_store


def bundle_of(store) -> list[x509.Certificate]:
    found = store.objects[CONFIG_MAPS].get(("shop", "istio-ca-root-cert"))
    return x509.load_pem_x509_certificates(found["data"]["root-cert.pem"].encode()) if found else []


def test_cacerts_goes_before_the_self_signed_root_and_is_followed(store, settings, cas, until):
    async def run() -> None:
        await roots.load_or_create(store, settings)
        store.put(SECRETS, cacerts(cas, "alpha", "alpha"))
        live = await roots.load_or_create(store, settings)
        assert live.plugged_in
        assert live.current.certificate == cas["alpha"].certificate
        distributing = asyncio.create_task(roots.distribute(store, settings, live))
        await until(lambda: bundle_of(store) == [cas["alpha"].certificate])
        for signing, *bundle in THREE_STEPS:
            store.put(SECRETS, cacerts(cas, signing, *bundle))
            await until(lambda expected=bundle: bundle_of(store) == [cas[name].certificate for name in expected])
            await until(lambda name=signing: live.current.certificate == cas[name].certificate)
        assert not distributing.done()
        distributing.cancel()

    asyncio.run(run())


def test_a_successor_that_is_wrong_changes_nothing_and_the_next_one_counts(store, settings, cas, until, caplog):
    async def run() -> None:
        store.put(SECRETS, cacerts(cas, "alpha", "alpha"))
        live = await roots.load_or_create(store, settings)
        distributing = asyncio.create_task(roots.distribute(store, settings, live))
        await until(lambda: bundle_of(store))
        broken = cacerts(cas, "alpha", "alpha", "beta")
        del broken["data"]["ca-key.pem"]
        store.put(SECRETS, broken)
        await until(lambda: "ca-key.pem: missing or empty" in caplog.text)
        store.put(SECRETS, cacerts(cas, "beta", "beta"))
        await until(lambda: "first add that root" in caplog.text)
        assert bundle_of(store) == [cas["alpha"].certificate]
        store.drop(SECRETS, "istio-system", "cacerts")
        await until(lambda: "stays in force" in caplog.text)
        store.put(SECRETS, cacerts(cas, "alpha", "alpha", "beta"))
        await until(lambda: len(bundle_of(store)) == 2)
        distributing.cancel()

    asyncio.run(run())


def test_a_self_signed_root_at_its_end_is_renewed_in_its_secret(store, settings, until):
    async def run() -> None:
        now = datetime.now(UTC)
        ageing = authority.Authority.create("cluster.local", now=now - 9 * DAY, lifetime=10 * DAY)
        store.put(SECRETS, roots._secret(ageing, settings))
        live = await roots.load_or_create(store, settings)
        distributing = asyncio.create_task(roots.distribute(store, settings, live))
        await until(lambda: live.current.certificate != ageing.certificate)
        assert live.current.certificate.public_key() == ageing.certificate.public_key()
        await until(lambda: bundle_of(store) == [live.current.certificate])
        assert (await roots.load_or_create(store, settings)).current.certificate == live.current.certificate
        distributing.cancel()

    asyncio.run(run())


def test_an_unusable_cacerts_stops_the_start_and_names_the_file(store, settings, cas):
    broken = cacerts(cas, "alpha", "beta")
    store.put(SECRETS, broken)
    with pytest.raises(authority.SignerError, match=r"Secret istio-system/cacerts: root-cert\.pem: none of its 1"):
        asyncio.run(roots.load_or_create(store, settings))
    broken["data"]["ca-key.pem"] = "%%%"
    store.put(SECRETS, broken)
    with pytest.raises(authority.SignerError, match="Secret istio-system/cacerts: its data is not base64"):
        asyncio.run(roots.load_or_create(store, settings))

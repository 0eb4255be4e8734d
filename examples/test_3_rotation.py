"""Exercise 3: watch a workload's certificate rotate under traffic. Its life is 10 s here; a mesh's own default is 24 h."""

from __future__ import annotations


def certificate(proxy):
    """Give (SPIFFE ID, serial number) of the certificate that the proxy uses."""
    leaf = next(one["cert_chain"][0] for one in proxy.certificates() if one.get("cert_chain"))
    return leaf["subject_alt_names"][0]["uri"], leaf["serial_number"]


def test_rotation(mesh_namespace):
    mesh_namespace.stand_in("reviews", svid_ttl="10s")
    client = mesh_namespace.client("tester", svid_ttl="10s")
    mesh_namespace.apply("test_3_rotation.yaml")
    proxy = mesh_namespace.proxy(mesh_namespace.pod("reviews")["metadata"]["name"])

    name, serial = certificate(proxy)
    assert name == f"spiffe://cluster.local/ns/{mesh_namespace.name}/sa/reviews"
    with client.traffic("http://reviews", reuse=False) as traffic:
        mesh_namespace.eventually(lambda: certificate(proxy)[1] != serial, "another certificate", seconds=15)

    assert certificate(proxy)[0] == name  # the identity stays
    assert traffic.answered
    assert not traffic.failures

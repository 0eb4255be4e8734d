"""The documents of stand-ins: what their ports speak."""

from __future__ import annotations

import pytest

from pytest_mesh import stand_ins

PORTS = {80: 8080, 9000: 9090, 9443: 9443, 7000: 8080}
PROTOCOLS = {9000: "tcp", 9443: "tls", 7000: "grpc"}


def test_a_services_ports_are_named_by_what_they_speak():
    names = [one["name"] for one in stand_ins.service("reviews", PORTS, PROTOCOLS)["spec"]["ports"]]
    assert names == ["http", "tcp-9000", "tls-9443", "grpc-7000"]
    assert [one["name"] for one in stand_ins.service("db", {9000: 9090}, {9000: "tcp"})["spec"]["ports"]] == ["tcp"]


def test_a_pod_is_told_which_of_its_ports_carry_lines_and_has_a_certificate_only_for_tls():
    spoken = stand_ins.spoken(PORTS, PROTOCOLS)
    assert spoken == (8080, "tcp:9090", "tls:9443")
    made = [
        stand_ins.deployment(
            "a", app="a", version="v1", account="a", replicas=1, ports=ports, labels={}, annotations={}
        )
        for ports in (spoken, (8080, "tcp:9090"))
    ]
    containers = [one["spec"]["template"]["spec"]["containers"][0] for one in made]
    assert containers[0]["args"] == ["8080", "tcp:9090", "tls:9443"]
    assert [one["containerPort"] for one in containers[0]["ports"]][:3] == [8080, 9090, 9443]
    assert ["MESH_TLS_PEM" in {env["name"] for env in one["env"]} for one in containers] == [True, False]


@pytest.mark.parametrize("protocols", [{80: "udp"}, {81: "tcp"}])
def test_a_protocol_that_is_none_or_of_no_port_is_refused(protocols):
    with pytest.raises(ValueError, match="want a port of ports and one of http, http2, grpc, tcp, tls"):
        stand_ins.service("reviews", {80: 8080}, protocols)

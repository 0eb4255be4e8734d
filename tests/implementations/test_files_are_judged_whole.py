"""What is wrong with an implementation's file: all of it at once, each at its line, with its key and its rule."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from pytest_mesh.contracts import Implementation
from pytest_mesh.implementations import SHIPPED, declared, loader, machine, schema
from pytest_mesh.implementations.findings import ImplementationError, UnreadableError

ROOT = Path(__file__).parents[2]
SOUND = """\
format = 1
[environment]
ACME_HOME = "where acme is"
[implementation]
name = "acme"
[install]
manifests = ["{dir}/mesh.yaml"]
ready = ["acme-system/acmed"]
[injection]
labels = { acme = "on" }
proxy_container = "acme-proxy"
kube_inject_command = ["{env:ACME_HOME}/acmectl", "inject"]
config_dump_command = ["{env:ACME_HOME}/acmectl", "dump", "{pod}.{namespace}"]
[identity]
trust_domain = "acme.example"
"""


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def reading(text, environ=None):
        Path("acme.toml").write_text(text)
        return loader.read(Path("acme.toml"), environ={"ACME_HOME": "/opt/acme"} if environ is None else environ)

    return reading


def told(reading) -> list[str]:
    return [str(one) for one in reading.findings]


def test_a_sound_file_gives_what_it_says(read, tmp_path):
    found = read(SOUND).implementation

    assert found.manifests == (f"{tmp_path}/mesh.yaml",)
    assert found.namespace == "acme-system"
    assert found.kube_inject_command == ("/opt/acme/acmectl", "inject")
    assert found.config_dump_command[-1] == "{pod}.{namespace}"
    assert found.features == "inferred"
    assert found.where("identity.trust_domain") == "identity.trust_domain (acme.toml:15)"
    assert found.where("install.ready[0]") == "install.ready[0] (acme.toml:8)"
    assert found.where("identity.svid_ttl_key") == "identity.svid_ttl_key (acme.toml:14)"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("format = 1", "format = 2", "1: format: must be 1"),
        ("format = 1\n", "", "1: format: must be 1"),
        ('name = "acme"', 'nme = "acme"', "4: implementation.name: is required"),
        ('name = "acme"', 'name = ""', "5: implementation.name: must be a string that is not empty, not ''"),
        ("[install]", "[instal]", "6: instal: is not known here; did you mean 'install'?"),
        (
            'ready = ["acme-system/acmed"]',
            'trust_domain = "x"',
            "8: install.trust_domain: is a key of [identity]",
        ),
        ('"acme-system/acmed"', '"acmed"', "8: install.ready[0]: 'acmed' must be a Deployment as namespace/name"),
        (
            'ready = ["acme-system/acmed"]',
            'ready = ["a/x", "b/y"]',
            "6: install.namespace: is required where ready names several (a, b)",
        ),
        (
            'ready = ["acme-system/acmed"]',
            "already_there = true",
            "7: install.manifests: does not go with already_there = true: nothing is installed or removed then",
        ),
        (
            'ready = ["acme-system/acmed"]',
            "already_there = false",
            "8: install.already_there: must be true, or be left out, not False",
        ),
        (
            'manifests = ["{dir}/mesh.yaml"]\n',
            "",
            (
                "6: install: must say how the mesh gets onto the cluster: manifests, manifests_command, install, "
                "or already_there = true"
            ),
        ),
        (
            'ready = ["acme-system/acmed"]',
            'remove = ["acmectl remove"]',
            '8: install.remove: must be a list of commands, each a list of strings: [["program", "argument"]]',
        ),
        (
            '"{dir}/mesh.yaml"',
            '"{dri}/mesh.yaml"',
            "7: install.manifests[0]: {dri} stands for nothing; did you mean {dir}?",
        ),
        (
            '"{dir}/mesh.yaml"',
            '"{pod}.yaml"',
            "7: install.manifests[0]: {pod} stands for nothing here (only in injection.config_dump_command)",
        ),
        ('"{dir}/mesh.yaml"', "7", "7: install.manifests[0]: must be a string, not 7"),
        (
            "ACME_HOME = ",
            "ACME_HOM = ",
            "12: injection.kube_inject_command: {env:ACME_HOME}: [environment] must say what ACME_HOME is",
        ),
        (
            'ACME_HOME = "where acme is"',
            'ACME_HOME = "where acme is"\nOTHER = "x"',
            "4: environment.OTHER: is used nowhere: {env:OTHER} stands for it",
        ),
        ('acme = "on"', 'acme = "o n"', "10: injection.labels.acme: 'o n' is no value of a Kubernetes label"),
        (
            'acme = "on"',
            '"acme/" = "on"',
            '10: injection.labels."acme/": is no name of a Kubernetes label ([prefix/]name)',
        ),
        (
            'proxy_container = "acme-proxy"\n',
            "",
            "9: injection.proxy_container: is required where labels or revision are given: it tells injected Pods",
        ),
        (
            'labels = { acme = "on" }',
            'revision = "r2"\nlabels = { "istio.io/rev" = "r1" }',
            '11: injection.labels."istio.io/rev": does not go with revision, which labels namespaces istio.io/rev=r2',
        ),
        (
            'labels = { acme = "on" }',
            "inbound_port = 15006",
            (
                "9: injection.exclude_inbound_annotation: is required where inbound_port is given: "
                "it keeps the workloads' control port out of interception"
            ),
        ),
        (
            'labels = { acme = "on" }',
            "admin_port = 0",
            "10: injection.admin_port: must be a port, 1 to 65535 (leave the key out where there is none), not 0",
        ),
        (
            '"{pod}.{namespace}"',
            '"{namespace}"',
            "13: injection.config_dump_command: must name the pod: {pod}, and {namespace}, stand for it",
        ),
        (
            '"acme.example"',
            '"spiffe://acme.example"',
            (
                "15: identity.trust_domain: 'spiffe://acme.example' is no trust domain: a-z, 0-9, '.', '-' and '_', "
                "without spiffe:// (SPIFFE-ID 2.1)"
            ),
        ),
        (
            'trust_domain = "acme.example"',
            'svid_ttl_key = "TTL"',
            "15: identity.svid_ttl_key: has no effect without injection.proxy_metadata_annotation",
        ),
        (
            'trust_domain = "acme.example"',
            'root_config_map = ["acme-ca", ""]',
            "15: identity.root_config_map: must be 2 strings that are not empty: [ConfigMap, key]",
        ),
        (
            "[identity]",
            '[conformance]\nfeatures = "al"\n[identity]',
            '15: conformance.features: must be "all", "inferred" or a list of features, not \'al\'',
        ),
        (
            "[identity]",
            '[conformance]\nconvergence_seconds = "30"\n[identity]',
            "15: conformance.convergence_seconds: must be a number of seconds above 0, 3600 at most, not '30'",
        ),
        (
            "[identity]",
            '[images."acme/d"]\nentrypont = ["x"]\n[identity]',
            "15: images.\"acme/d\".entrypont: is not known here; did you mean 'entrypoint'?",
        ),
        (
            "[identity]",
            '[images."acme/d"]\nuser = "root"\n[identity]',
            '14: images."acme/d".entrypoint: is required: what the image runs',
        ),
    ],
)
def test_a_broken_rule_is_told_at_its_line_with_its_key(read, old, new, line):
    assert old in SOUND
    reading = read(SOUND.replace(old, new))

    assert f"acme.toml:{line}" in told(reading)
    assert reading.implementation is None


def test_everything_is_told_at_once_and_a_run_refuses_with_all_of_it(read):
    text = SOUND.replace('"acme"', "7").replace('"on"', '"o n"').replace("[identity]", "[identty]")
    findings = told(read(text))

    assert len(findings) == 3
    with pytest.raises(ImplementationError) as caught:
        loader.load(Path("acme.toml"))
    assert set(findings) <= {*str(caught.value).splitlines()}


def test_a_variable_that_is_not_set_is_no_fault_of_the_file(read):
    reading = read(SOUND, environ={})

    assert told(reading) == [
        "acme.toml:3: environment.ACME_HOME: environment variable ACME_HOME is not set: where acme is"
    ]
    assert reading.implementation.kube_inject_command == ("{env:ACME_HOME}/acmectl", "inject")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a = 1\nb = [", "acme.toml:2: not TOML"),
        (b"a = 1\na = 2\n", "acme.toml:2: not TOML"),
        (b"a = '\xff'", "acme.toml: not TOML: byte 5 is not UTF-8"),
        (None, "acme.toml: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path, monkeypatch, data, message):
    monkeypatch.chdir(tmp_path)
    if data is not None:
        Path("acme.toml").write_bytes(data)

    with pytest.raises(UnreadableError) as caught:
        loader.read(Path("acme.toml"))

    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_what_this_machine_does_not_have_is_told_with_its_key(read, tmp_path):
    (tmp_path / "mesh.yaml").write_text("kind: [")
    (tmp_path / "plain").write_text("")
    text = SOUND.replace("{env:ACME_HOME}/acmectl", "acmectl-nowhere", 1).replace(
        "{env:ACME_HOME}/acmectl", "{dir}/plain"
    )
    text = text.replace('ACME_HOME = "where acme is"\n', "")
    text += '[images."acme/d"]\nentrypoint = ["/nowhere/acmed"]\nreadable = ["/", "/nowhere"]\n'

    assert [(one.line, one.key, one.rule) for one in machine.lacking(read(text).implementation)] == [
        (11, "injection.kube_inject_command[0]", "program 'acmectl-nowhere' is not on PATH"),
        (12, "injection.config_dump_command[0]", f"{tmp_path}/plain is not executable"),
        (6, "install.manifests[0]", machine.lacking(read(text).implementation)[2].rule),
        (16, 'images."acme/d".entrypoint[0]', "there is no program /nowhere/acmed"),
        (17, 'images."acme/d".readable[1]', "there is nothing at /nowhere"),
    ]
    assert machine.lacking(read(text).implementation)[2].rule.startswith(f"{tmp_path}/mesh.yaml: not YAML: ")


def test_a_declared_feature_that_nobody_knows_is_told_with_the_nearest(read):
    text = SOUND + '[conformance]\nfeatures = ["One", "Tow"]\n'

    (finding,) = declared.undeclarable(read(text).implementation, ["One", "Two"])

    assert str(finding) == "acme.toml:17: conformance.features[1]: 'Tow' is not known here; did you mean 'Two'?"


HERE = SHIPPED["none"].parent


@pytest.mark.parametrize("path", sorted(HERE.glob("*.toml")), ids=lambda path: path.stem)
def test_the_shipped_files_keep_every_rule(path):
    findings = loader.read(path, environ={"MESH_ISTIO_BIN": "/b", "MESH_ISTIO_BOOTSTRAP": "/c"}).findings

    assert findings == ()


@pytest.mark.parametrize(
    ("environ", "hub", "tag"),
    [
        ({}, "docker.io/istio", "1.30.0"),
        ({"MESH_ISTIO_HUB": "registry.example/mesh", "MESH_ISTIO_TAG": "1.31.2"}, "registry.example/mesh", "1.31.2"),
    ],
)
def test_released_istio_is_installed_at_a_hub_and_tag(environ, hub, tag):
    released = loader.read(HERE / "istio-released.toml", environ=environ).implementation

    assert released is not None
    assert released.version == tag
    assert [f"hub={hub}", f"tag={tag}"] == [one for one in released.manifests_command if "=" in one]


def test_a_variable_may_have_a_default_and_nothing_else(read):
    text = SOUND.replace('ACME_HOME = "where acme is"', 'ACME_HOME = { what = "where acme is", defalt = "/acme" }')

    (finding, *_) = read(text, environ={"ACME_HOME": "/a"}).findings

    assert "did you mean 'default'?" in str(finding)


def test_every_key_fills_a_field_and_every_field_has_a_key():
    fields = {key.field for keys in schema.SECTIONS.values() for key in keys.values()}

    assert fields | {"images", "source", "lines"} == {one.name for one in dataclasses.fields(Implementation)}


def test_every_key_is_documented_and_nothing_else_is():
    page = (ROOT / "docs" / "implementations.md").read_text()
    rows = set(re.findall(r"^\| `([a-z]+)\.([a-z_]+)` \|", page, flags=re.MULTILINE))
    images = {("images", name) for name in schema.IMAGE}

    assert rows == {(section, key) for section, keys in schema.SECTIONS.items() for key in keys} | images


def test_every_field_that_a_file_fills_is_read_by_somebody():
    own = {"contracts.py", "schema.py", "coherence.py"}
    text = "\n".join(
        path.read_text()
        for room in ("pytest_mesh", "conformance")
        for path in (ROOT / room).rglob("*.py")
        if path.name not in own
    )

    unread = [
        one.name
        for one in dataclasses.fields(Implementation)
        if not re.search(rf"(implementation|self|found|_file|mesh)\.{one.name}\b|\"{one.name}\"", text)
    ]

    assert unread == []

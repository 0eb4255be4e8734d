"""The option table: each option with its flag, its environment twin and its ini twin, and where its value came from.

A flag wins over ``PYTEST_MESH_*``, that over the ini file's ``mesh_*``, that over
the default. Nothing here starts or imports a cluster.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

import pytest

Keep = Literal["never", "on-failure", "always"]
Source = Literal["flag", "env", "ini", "default"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One option. A switch takes no value on the command line."""

    name: str
    default: str
    help: str
    metavar: str = ""
    choices: tuple[str, ...] = ()
    switch: bool = False
    also: str = ""
    """Another environment variable that is read where ``env`` is not set."""

    @property
    def flag(self) -> str:
        return f"--mesh-{self.name}"

    @property
    def dest(self) -> str:
        return f"mesh_{self.name.replace('-', '_')}"

    @property
    def env(self) -> str:
        return f"PYTEST_{self.dest.upper()}"


ROWS = (
    Row(name="cluster", default="local", metavar="BACKEND", help="where the mesh runs: local, kind, existing"),
    Row(
        name="implementation",
        default="reference",
        metavar="NAME|FILE",
        help="which mesh is judged: reference, istio, none, or an implementation file (TOML)",
    ),
    Row(name="report", default="", metavar="FILE", help="write the ConformanceReport (YAML) here"),
    Row(name="report-html", default="", metavar="FILE", help="write the report as one HTML page here"),
    Row(
        name="report-ndjson", default="", metavar="FILE", help="write what happens as it happens here, one JSON a line"
    ),
    Row(name="expected-failures", default="", metavar="FILE", help="checks that may fail, each with its reason (YAML)"),
    Row(name="shard", default="", metavar="I/N", help="run the I-th of N parts (pytest-mesh report merge joins them)"),
    Row(name="waits", default="0", metavar="N", help="list the N longest waits at the end (as --durations=N does)"),
    Row(
        name="keep",
        default="never",
        choices=("never", "on-failure", "always"),
        help="whether cluster and namespaces outlive the run",
    ),
    Row(name="fresh", default="false", switch=True, help="start a new cluster even where one is up"),
    Row(name="cluster-name", default="", metavar="NAME", help="name of the cluster: used when it is up, else made"),
    Row(
        name="cluster-per-worker",
        default="false",
        switch=True,
        help="under xdist: a cluster and a mesh for each worker instead of one for all",
    ),
    Row(name="kind-config", default="", metavar="FILE", help="kind: configuration of the cluster (nodes, mounts)"),
    Row(name="kind-image", default="", metavar="IMAGE", help="kind: node image", also="MESH_KIND_IMAGE"),
    Row(name="artifacts", default=".mesh/artifacts", metavar="DIR", help="where a failure's evidence is saved"),
    Row(name="kubeconfig", default="", metavar="FILE", help="existing: the kubeconfig (default: kubectl's own)"),
    Row(name="context", default="", metavar="NAME", help="existing: the kubeconfig's context"),
    Row(
        name="install",
        default="false",
        switch=True,
        help="existing: install the implementation (cluster-scoped objects included)",
    ),
    Row(name="image-registry", default="", metavar="PREFIX", help="existing: where the images of the harness are"),
    Row(name="image-tag", default="", metavar="TAG", help="existing: their tag in the registry (default: our version)"),
    Row(
        name="image-pull-secret",
        default="",
        metavar="SECRET",
        help="existing: what pods pull them with, NAMESPACE/NAME of a Secret or a file as docker login writes it",
    ),
    Row(
        name="differential",
        default="",
        metavar="NAME|FILE",
        help="run the differential checks alone: the same requests to the implementation and to this one, side by side",
    ),
    Row(name="differential-cells", default="200", metavar="N", help="generated configurations of a differential run"),
    Row(name="known-differences", default="", metavar="FILE", help="differences that are explained (YAML)"),
    Row(name="split-delta", default="5", metavar="POINTS", help="error of a share that a split check must find"),
    Row(name="seed", default="0", metavar="N", help="seed of whatever the run generates"),
)

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_REGISTRY = re.compile(r"[a-z0-9.-]+(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
_SHARD = re.compile(r"[1-9]\d{0,2}/[1-9]\d{0,2}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_ONLY_EXISTING = ("kubeconfig", "context", "install", "image-registry", "image-tag", "image-pull-secret")
_NOT_EXISTING = {
    "fresh": "no other cluster can be started",
    "cluster-per-worker": "all workers are guests of the one cluster",
    "cluster-name": "the kubeconfig names the cluster (--mesh-context chooses)",
    "kind-config": "it is for --mesh-cluster=kind",
    "kind-image": "it is for --mesh-cluster=kind",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The run's options, resolved and checked."""

    cluster: str
    implementation: str
    report: str
    report_html: str
    report_ndjson: str
    expected_failures: str
    shard: str
    waits: int
    keep: Keep
    fresh: bool
    cluster_name: str
    cluster_per_worker: bool
    kind_config: str
    kind_image: str
    artifacts: str
    kubeconfig: str
    context: str
    install: bool
    image_registry: str
    image_tag: str
    image_pull_secret: str
    differential: str
    differential_cells: int
    known_differences: str
    split_delta: float
    seed: int
    sources: Mapping[str, Source]


def add_options(parser: pytest.Parser) -> None:
    """Register every flag and every ini value."""
    group = parser.getgroup("mesh", "service mesh")
    for row in ROWS:
        text = f"{row.help} (default: {row.default or 'none'}; env {row.env}{f' or {row.also}' if row.also else ''}; ini {row.dest})"
        if row.switch:
            group.addoption(row.flag, dest=row.dest, action="store_const", const="true", default=None, help=text)
        else:
            group.addoption(row.flag, dest=row.dest, metavar=row.metavar or None, default=None, help=text)
        parser.addini(row.dest, help=f"twin of {row.flag}", default=None)


def resolve(config: pytest.Config, environ: Mapping[str, str]) -> Options:
    """Read every option; raises ``pytest.UsageError`` for a value that cannot be."""
    values: dict[str, str] = {}
    sources: dict[str, Source] = {}
    for row in ROWS:
        value, source = _lookup(row, config, environ)
        if row.choices and value not in row.choices:
            raise pytest.UsageError(unknown(row.flag, value, row.choices, source=_named(row, source)))
        values[row.name], sources[row.name] = value, source
    _refuse_useless(values["cluster"], sources)
    if values["differential"] and values["cluster"] == "existing":
        raise pytest.UsageError("--mesh-differential: installs two meshes: not on --mesh-cluster=existing")
    return Options(
        cluster=values["cluster"],
        implementation=values["implementation"],
        report=values["report"],
        report_html=values["report-html"],
        report_ndjson=values["report-ndjson"],
        expected_failures=_file(config, "expected-failures", values),
        shard=_shard(values["shard"]),
        waits=_count("waits", values["waits"], least=0),
        keep=cast(Keep, values["keep"]),
        fresh=_switch("fresh", values),
        cluster_name=_cluster_name(values["cluster-name"]),
        cluster_per_worker=_switch("cluster-per-worker", values),
        kind_config=_file(config, "kind-config", values),
        kind_image=values["kind-image"],
        artifacts=values["artifacts"],
        kubeconfig=_file(config, "kubeconfig", values) if values["cluster"] == "existing" else values["kubeconfig"],
        context=values["context"],
        install=_switch("install", values),
        image_registry=_image_registry(values["image-registry"]),
        image_tag=_image_tag(values["image-tag"]),
        image_pull_secret=values["image-pull-secret"],
        differential=values["differential"],
        differential_cells=_count("differential-cells", values["differential-cells"]),
        known_differences=_file(config, "known-differences", values),
        split_delta=_points(values["split-delta"]),
        seed=_integer("seed", values["seed"]),
        sources=sources,
    )


def unknown(flag: str, value: str, valid: Iterable[str], *, source: str = "") -> str:
    """Say in one line that a name is not known, which are, and which was probably meant."""
    names = sorted(valid)
    near = difflib.get_close_matches(value, names, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    return f"{flag}: unknown {value!r}{f' ({source})' if source else ''}; choose from: {', '.join(names)}{meant}"


def header(options: Options) -> str:
    """Give the line of pytest's header: values with their sources; defaults of little interest are left out."""
    shown = []
    for row in ROWS:
        source = options.sources[row.name]
        if source == "default" and row.name not in {"cluster", "implementation"}:
            continue
        value = getattr(options, row.name.replace("-", "_"))
        rootless = row.name == "cluster" and value == "local" and getattr(os, "geteuid", int)() != 0
        shown.append(f"{row.name}={value} ({source}{', rootless' if rootless else ''})")
    return f"mesh: {', '.join(shown)}"


def _lookup(row: Row, config: pytest.Config, environ: Mapping[str, str]) -> tuple[str, Source]:
    given = config.getoption(row.dest, default=None)
    if given is not None:
        return str(given), "flag"
    for name in filter(None, (row.env, row.also)):
        if name in environ:
            return environ[name], "env"
    ini = config.getini(row.dest)
    if ini not in {None, ""}:
        return str(ini), "ini"
    return row.default, "default"


def _named(row: Row, source: Source) -> str:
    return {"flag": "", "env": f"from {row.env}", "ini": f"from ini {row.dest}", "default": ""}[source]


def _switch(name: str, values: Mapping[str, str]) -> bool:
    text = values[name].lower()
    if text in {"true", "1", "yes", "on"}:
        return True
    if text in {"false", "0", "no", "off", ""}:
        return False
    raise pytest.UsageError(f"--mesh-{name}: {values[name]!r} is neither true nor false")


def _cluster_name(text: str) -> str:
    if text and not _NAME.fullmatch(text):
        raise pytest.UsageError(f"--mesh-cluster-name: {text!r}: want a-z, 0-9 and - (not at the ends), at most 40")
    return text


def _refuse_useless(cluster: str, sources: Mapping[str, Source]) -> None:
    """Refuse a flag that the backend would not obey; what an ini file or the environment says is for other runs too."""
    for name, reason in _NOT_EXISTING.items():
        if cluster == "existing" and sources[name] == "flag":
            raise pytest.UsageError(f"--mesh-{name}: not on --mesh-cluster=existing: {reason}")
    if cluster == "kind" and sources["cluster-per-worker"] == "flag":
        raise pytest.UsageError("--mesh-cluster-per-worker: not on --mesh-cluster=kind: its workers share one cluster")
    for name in _ONLY_EXISTING:
        if cluster in {"local", "kind"} and sources[name] == "flag":
            raise pytest.UsageError(f"--mesh-{name}: is for --mesh-cluster=existing, not {cluster}")


def _shard(text: str) -> str:
    if text and not (_SHARD.fullmatch(text) and int(text.partition("/")[0]) <= int(text.partition("/")[2])):
        raise pytest.UsageError(f"--mesh-shard: {text!r}: want I/N, such as 1/4: the I-th of N parts")
    return text


def _image_registry(text: str) -> str:
    if text and not _REGISTRY.fullmatch(text):
        raise pytest.UsageError(f"--mesh-image-registry: {text!r} is no HOST[:PORT][/PATH] in small letters")
    return text


def _image_tag(text: str) -> str:
    if text and not _TAG.fullmatch(text):
        raise pytest.UsageError(f"--mesh-image-tag: {text!r} is no tag")
    return text


def _file(config: pytest.Config, name: str, values: Mapping[str, str]) -> str:
    """Give the path of a file from where pytest was called; it must be there."""
    if not values[name]:
        return ""
    path = config.invocation_params.dir / values[name]
    if not path.is_file():
        raise pytest.UsageError(f"--mesh-{name}: no file {values[name]}")
    return str(path)


def _points(text: str) -> float:
    try:
        points = float(text)
    except ValueError:
        points = 0.0
    if not 0 < points < 100:
        raise pytest.UsageError(f"--mesh-split-delta: {text!r} is no number of percentage points between 0 and 100")
    return points


def _count(name: str, text: str, *, least: int = 1) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise pytest.UsageError(f"--mesh-{name}: {text!r} is no whole number {'above 0' if least else 'from 0 on'}")
    return int(text)


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise pytest.UsageError(f"--mesh-{name}: {text!r} is no whole number") from None

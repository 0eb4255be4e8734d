"""The option table: each option with its flag, its environment twin and its ini twin, and where its value came from.

A flag wins over ``PYTEST_MESH_*``, that over the ini file's ``mesh_*``, that over
the default. Nothing here starts or imports a cluster.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

import pytest

Keep = Literal["never", "on-failure", "always"]
Source = Literal["flag", "env", "ini", "default"]
_T = TypeVar("_T")


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
    Row(
        name="split-alpha",
        default="1e-6",
        metavar="P",
        help="probability at most that a check of a share fails a mesh that is right",
    ),
    Row(
        name="split-beta",
        default="1e-3",
        metavar="P",
        help="probability at most that it passes a mesh that is wrong by --mesh-split-delta or more",
    ),
    Row(
        name="split-cap",
        default="0",
        metavar="N",
        help="requests after which an undecided share is inconclusive; 0: 20 times what a right mesh needs in the mean",
    ),
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
    split_alpha: float
    split_beta: float
    split_cap: int
    seed: int
    sources: Mapping[str, Source]
    origins: Mapping[str, str]
    """By option: the environment variable or the ini value that gave it; empty for a flag or a default."""

    def named(self, name: str) -> str:
        """Give what a message calls an option: its flag, with where the value came from where that was no flag."""
        return _named(name, self.origins[name])


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
    given = _Given(config, environ)
    sources = {name: source for name, (_, source, _) in given.found.items()}
    cluster = given.text("cluster")
    _refuse_useless(cluster, sources)
    if given.text("differential") and cluster == "existing":
        raise pytest.UsageError(
            f"{given.flag('differential')}: installs two meshes: not on {given.flag('cluster')}=existing"
        )
    return Options(
        cluster=cluster,
        implementation=given.text("implementation"),
        report=given.text("report"),
        report_html=given.text("report-html"),
        report_ndjson=given.text("report-ndjson"),
        expected_failures=given.file("expected-failures"),
        shard=given.read("shard", _shard),
        waits=given.read("waits", _count_from_0),
        keep=cast(Keep, given.text("keep")),
        fresh=given.read("fresh", _switch),
        cluster_name=given.read("cluster-name", _cluster_name),
        cluster_per_worker=given.read("cluster-per-worker", _switch),
        kind_config=given.file("kind-config"),
        kind_image=given.text("kind-image"),
        artifacts=given.text("artifacts"),
        kubeconfig=given.file("kubeconfig") if cluster == "existing" else given.text("kubeconfig"),
        context=given.text("context"),
        install=given.read("install", _switch),
        image_registry=given.read("image-registry", _image_registry),
        image_tag=given.read("image-tag", _image_tag),
        image_pull_secret=given.text("image-pull-secret"),
        differential=given.text("differential"),
        differential_cells=given.read("differential-cells", _count_from_1),
        known_differences=given.file("known-differences"),
        split_delta=given.read("split-delta", _points),
        split_alpha=given.read("split-alpha", _probability),
        split_beta=given.read("split-beta", _probability),
        split_cap=given.read("split-cap", _count_from_0),
        seed=given.read("seed", _integer),
        sources=sources,
        origins={name: origin for name, (_, _, origin) in given.found.items()},
    )


def unknown(flag: str, value: str, valid: Iterable[str]) -> str:
    """Say in one line that a name is not known, which are, and which was probably meant."""
    names = sorted(valid)
    return f"{flag}: unknown {value!r}; choose from: {', '.join(names)}{near(value, names)}"


def near(value: str, valid: Iterable[str]) -> str:
    """Say which name was probably meant; empty where none is near."""
    found = difflib.get_close_matches(value, list(valid), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


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


class _Given:
    """What was given for each option, and what a message calls it: nobody is blamed for a flag that was not given."""

    def __init__(self, config: pytest.Config, environ: Mapping[str, str]) -> None:
        self._directory = config.invocation_params.dir
        self.found = {row.name: _lookup(row, config, environ) for row in ROWS}
        for row in ROWS:
            if row.choices and self.text(row.name) not in row.choices:
                raise pytest.UsageError(unknown(self.flag(row.name), self.text(row.name), row.choices))

    def text(self, name: str) -> str:
        return self.found[name][0]

    def flag(self, name: str) -> str:
        return _named(name, self.found[name][2])

    def read(self, name: str, reader: Callable[[str], _T]) -> _T:
        """Read by ``reader``, whose ValueError says what is wrong."""
        try:
            return reader(self.text(name))
        except ValueError as error:
            raise pytest.UsageError(f"{self.flag(name)}: {self.text(name)!r}{error}") from error

    def file(self, name: str) -> str:
        """Give the path of a file from where pytest was called; it must be there."""
        if not self.text(name):
            return ""
        path = self._directory / self.text(name)
        if not path.is_file():
            raise pytest.UsageError(f"{self.flag(name)}: no file {self.text(name)}")
        return str(path)


def _lookup(row: Row, config: pytest.Config, environ: Mapping[str, str]) -> tuple[str, Source, str]:
    """Give the value, its source, and the name of the variable or ini value where it is of one."""
    given = config.getoption(row.dest, default=None)
    if given is not None:
        return str(given), "flag", ""
    for name in filter(None, (row.env, row.also)):
        if name in environ:
            return environ[name], "env", name
    ini = config.getini(row.dest)
    if ini not in {None, ""}:
        return str(ini), "ini", f"ini {row.dest}"
    return row.default, "default", ""


def _named(name: str, origin: str) -> str:
    return f"--mesh-{name}{f' (from {origin})' if origin else ''}"


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


# Readers: what is wrong with a value goes on from the value itself.


def _switch(text: str) -> bool:
    if text.lower() in {"true", "1", "yes", "on"}:
        return True
    if text.lower() in {"false", "0", "no", "off", ""}:
        return False
    raise ValueError(" is neither true nor false")


def _cluster_name(text: str) -> str:
    if text and not _NAME.fullmatch(text):
        raise ValueError(": want a-z, 0-9 and - (not at the ends), at most 40")
    return text


def _shard(text: str) -> str:
    if text and not (_SHARD.fullmatch(text) and int(text.partition("/")[0]) <= int(text.partition("/")[2])):
        raise ValueError(": want I/N, such as 1/4: the I-th of N parts")
    return text


def _image_registry(text: str) -> str:
    if text and not _REGISTRY.fullmatch(text):
        raise ValueError(" is no HOST[:PORT][/PATH] in small letters")
    return text


def _image_tag(text: str) -> str:
    if text and not _TAG.fullmatch(text):
        raise ValueError(" is no tag")
    return text


def _points(text: str) -> float:
    return _between(text, 100, " is no number of percentage points between 0 and 100")


def _probability(text: str) -> float:
    return _between(text, 1, " is no probability above 0 and below 1")


def _between(text: str, bound: int, wrong: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < bound:
        raise ValueError(wrong)
    return number


def _count_from_0(text: str) -> int:
    return _count(text, least=0)


def _count_from_1(text: str) -> int:
    return _count(text, least=1)


def _count(text: str, *, least: int) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise ValueError(f" is no whole number {'above 0' if least else 'from 0 on'}")
    return int(text)


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(" is no whole number") from None

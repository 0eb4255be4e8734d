"""``refmesh kube-inject``: injection for files, without a cluster.

It reads and prints; documents that are not injected are printed as they were
written, comments and all.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import IO

import click

from mesh_reference import documents, manifest_files
from mesh_reference.errors import MeshError
from mesh_reference.injection.settings import InjectionSettings
from mesh_reference.injection.workloads import inject_object
from mesh_reference.manual import Manual
from mesh_reference.mesh_config import injection_settings, parse_mesh_config
from mesh_reference.settings import Settings

_REFUSED, _UNREADABLE = 1, 2


@click.command(
    name="kube-inject",
    cls=Manual,
    exit_codes={
        0: "printed",
        1: "a workload cannot be injected: it is left out, the rest is printed",
        2: "something could not be read; the rest is printed",
    },
    examples=("refmesh kube-inject -f deployment.yaml | kubectl apply -f -", "refmesh kube-inject -f - -n shop"),
)
@click.option(
    "-f",
    "--filename",
    "names",
    multiple=True,
    required=True,
    type=click.Path(allow_dash=True),
    help="A manifest, a directory, or - for stdin.",
)
@click.option(
    "-o", "--output", type=click.File("w", encoding="utf-8", lazy=True), default="-", help="A file; - is stdout."
)
@click.option("-n", "--namespace", default="default", show_default=True, help="Where an object names none.")
@click.option("--meshConfigFile", "mesh_config", type=click.Path(dir_okay=False), help="The mesh config to go by.")
@click.option("--revision", default="default", show_default=True, help="The control plane revision to name.")
@click.option(
    "--native-sidecar/--no-native-sidecar",
    default=True,
    show_default=True,
    help="As an init container that goes on running, or as a container among the others.",
)
def command(
    names: tuple[str, ...],
    output: IO[str],
    namespace: str,
    mesh_config: str | None,
    revision: str,
    *,
    native_sidecar: bool,
) -> None:
    """Inject the sidecar into the workloads of manifests and print them.

    Documents of other kinds come out as they were written, comments and all.
    """
    settings = _settings(mesh_config, revision, native_sidecar=native_sidecar)
    exit_code = 0
    for found in manifest_files.each(names):
        if isinstance(found, manifest_files.UnreadableError):
            click.echo(str(found), err=True)
            exit_code = _UNREADABLE
        else:
            exit_code = max(exit_code, _inject(found.text, found.name, namespace, settings, output))
    sys.exit(exit_code)


def _settings(mesh_config: str | None, revision: str, *, native_sidecar: bool) -> InjectionSettings:
    try:
        config = parse_mesh_config(Path(mesh_config).read_text(encoding="utf-8"), mesh_config) if mesh_config else {}
    except (OSError, MeshError) as problem:
        click.echo(f"--meshConfigFile: {problem}", err=True)
        sys.exit(_UNREADABLE)
    defaults = Settings()
    suffix = "" if revision in {"", "default"} else f"-{revision}"
    return injection_settings(
        replace(defaults, revision=revision, service_name=defaults.service_name + suffix),
        config,
        {"ENABLE_NATIVE_SIDECARS": "true" if native_sidecar else "false"},
    )


def _inject(text: str, source: str, namespace: str, settings: InjectionSettings, output: IO[str]) -> int:
    exit_code = 0
    for item in documents.each(text, source):
        if isinstance(item, documents.DocumentError):
            click.echo(f"{item}", err=True)
            exit_code = _UNREADABLE
            continue
        if item.value is None and not _as_written(item).strip():
            continue
        if item.value is not None and not _has_kind(item.value):
            click.echo(f"{source}:{item.line}: a document needs apiVersion and kind", err=True)
            exit_code = _UNREADABLE
            continue
        try:
            outcome = inject_object(item.value, namespace, settings)
        except MeshError as problem:
            click.echo(f"{source}:{item.line}: {problem}", err=True)
            exit_code = max(exit_code, _REFUSED)
            continue
        for note in outcome.notes:
            click.echo(note, err=True)
        click.echo(documents.dump(outcome.value) if outcome.changed else _as_written(item), output, nl=False)
        click.echo("---", output)
    return exit_code


def _has_kind(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("kind"), str) and bool(value["kind"])


def _as_written(document: documents.Document) -> str:
    """The text without its own leading marker: one stands after each document."""
    first, _, rest = document.text.partition("\n")
    text = rest if first.rstrip() == "---" else document.text
    return text if not text or text.endswith("\n") else f"{text}\n"

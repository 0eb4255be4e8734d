"""``refmesh validate``: Galley's rules for files, offline.

It reads and prints; what is wrong with a resource is decided by `validation.galley`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import click

from mesh_reference import documents, manifest_files
from mesh_reference.manual import Manual
from mesh_reference.validation import galley
from mesh_reference.validation.findings import Finding

_REFUSED, _UNREADABLE = 1, 2


@click.command(
    name="validate",
    cls=Manual,
    exit_codes={
        0: "no errors; warnings may be there",
        1: "a resource has an error",
        2: "something could not be read; the rest is checked",
    },
    examples=("refmesh validate -f manifests/", "cat virtual-service.yaml | refmesh validate -f - -o json"),
)
@click.option(
    "-f",
    "--filename",
    "names",
    multiple=True,
    required=True,
    type=click.Path(allow_dash=True),
    help="A file, a directory, or - for stdin.",
)
@click.option("-n", "--namespace", default="default", show_default=True, help="Where a document names none.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "yaml"]),
    default="text",
    show_default=True,
    help="How the findings are printed.",
)
def command(names: tuple[str, ...], namespace: str, output: str) -> None:
    """Check Istio resources in files by the rules of the validating webhook.

    Kinds of other API groups are passed over.
    """
    report = _Report(namespace)
    for found in manifest_files.each(names):
        if isinstance(found, manifest_files.UnreadableError):
            report.unreadable.append((found.name, 1, 1, found.problem))
        else:
            report.take(found.text, found.name)
    if output == "json":
        click.echo(json.dumps(report.to_json(), indent=2))
    elif output == "yaml":
        click.echo(documents.dump(report.to_json()), nl=False)
    else:
        report.print()
    sys.exit(report.exit_code)


class _Report:
    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self.unreadable: list[tuple[str, int, int, str]] = []
        self.found: list[tuple[documents.Document, str, Finding]] = []
        self.checked = 0

    def take(self, text: str, source: str) -> None:
        for item in documents.each(text, source):
            if isinstance(item, documents.DocumentError):
                self.unreadable.append((item.source, item.line, item.column, item.problem))
            elif item.value is not None:
                self._check(item)

    def _check(self, document: documents.Document) -> None:
        for resource, prefix in _resources(document.value):
            if not isinstance(resource, dict) or not isinstance(resource.get("kind"), str) or not resource["kind"]:
                place = document.place_of(prefix)
                self.unreadable.append((document.source, *place, "a document needs apiVersion and kind"))
                continue
            if not galley.is_ours(resource):
                continue
            self.checked += 1
            name = _name(resource, self._namespace)
            for finding in galley.validate(resource, namespace=self._namespace):
                placed = Finding(
                    path=(*prefix, *finding.path),
                    rule=finding.rule,
                    severity=finding.severity,
                    message=finding.message,
                )
                self.found.append((document, name, placed))

    @property
    def exit_code(self) -> int:
        if self.unreadable:
            return _UNREADABLE
        return _REFUSED if any(finding.severity == "error" for _, _, finding in self.found) else 0

    def print(self) -> None:
        for source, line, column, problem in self.unreadable:
            click.echo(f"{source}:{line}:{column}: unreadable: {problem}", err=True)
        for document, name, finding in self.found:
            line, column = document.place_of(finding.path)
            click.echo(f"{document.source}:{line}:{column}: {finding.severity}: {name}: {finding.text}")
        count = sum(finding.severity == "error" for _, _, finding in self.found)
        click.echo(f"{self.checked} resources checked, {count} errors, {len(self.found) - count} warnings", err=True)

    def to_json(self) -> dict[str, Any]:
        return {
            "checked": self.checked,
            "findings": [
                {
                    "file": document.source,
                    **dict(zip(("line", "column"), document.place_of(finding.path), strict=True)),
                    "resource": name,
                    **finding.to_json(),
                }
                for document, name, finding in self.found
            ],
            "unreadable": [
                {"file": source, "line": line, "column": column, "message": problem}
                for source, line, column, problem in self.unreadable
            ],
        }


def _resources(value: Any) -> Iterator[tuple[Any, documents.Path]]:
    if isinstance(value, dict) and value.get("kind") == "List" and isinstance(value.get("items"), list):
        for index, item in enumerate(value["items"]):
            yield item, ("items", index)
    else:
        yield value, ()


def _name(resource: dict[str, Any], namespace: str) -> str:
    metadata = resource.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    return f"{resource['kind']} {metadata.get('namespace') or namespace}/{metadata.get('name') or '?'}"

"""``refmesh crds``: prints the CustomResourceDefinitions for ``kubectl apply -f -``."""

from __future__ import annotations

import click

from mesh_reference import documents
from mesh_reference.manual import Manual
from mesh_reference.model import crds


@click.command(name="crds", cls=Manual, exit_codes={0: "printed"}, examples=("refmesh crds | kubectl apply -f -",))
@click.option(
    "-o",
    "--output",
    type=click.Choice(["yaml", "json"]),
    default="yaml",
    show_default=True,
    help="How they are printed.",
)
def command(output: str) -> None:
    """Print the CustomResourceDefinitions of the kinds this mesh serves."""
    if output == "json":
        import json

        click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": crds.definitions()}, indent=2))
        return
    click.echo(documents.dump_all(crds.definitions()), nl=False)

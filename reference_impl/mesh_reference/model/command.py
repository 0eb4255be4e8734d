"""``refmesh crds``: prints the CustomResourceDefinitions for ``kubectl apply -f -``."""

from __future__ import annotations

import click

from mesh_reference import documents
from mesh_reference.model import crds


@click.command(name="crds")
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
def command(output: str) -> None:
    """Print the CustomResourceDefinitions of the kinds this mesh serves.

    Example: refmesh crds | kubectl apply -f -
    """
    if output == "json":
        import json

        click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": crds.definitions()}, indent=2))
        return
    click.echo(documents.dump_all(crds.definitions()), nl=False)

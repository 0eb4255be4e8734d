"""Says what the reference does with cells, by its own ``explain``: ``explained_cells.py DIRECTORY [MUTANT]``.

In a process of its own, for a mutant changes the reference while it is imported. DIRECTORY has mesh.yaml and requests.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "mutants"))

import patching

if __name__ == "__main__":
    directory = Path(sys.argv[1])
    if len(sys.argv) > 2:
        patching.install(patching.load()[sys.argv[2]])

    from mesh_reference.commands import sources
    from mesh_reference.commands.explaining import Explainer
    from mesh_reference.commands.route_matching import parse_request

    mesh = sources.mesh_of_files((str(directory / "mesh.yaml"),), "shop")
    explainer = Explainer(mesh, mesh.proxy("shop/client"))
    found = [
        explainer.explain(parse_request(one["url"], one["headers"], one["method"])).to_json()["answers"]
        for one in json.loads((directory / "requests.json").read_text())
    ]
    sys.stdout.write(json.dumps(found))

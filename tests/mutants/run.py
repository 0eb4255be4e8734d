"""The reference's command line with one mutant in it: ``run.py MUTANT ARGS...``. The entry point of a mutant's images."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import patching

if __name__ == "__main__":
    patching.install(patching.load()[sys.argv.pop(1)])
    from mesh_reference.cli import main

    sys.argv[0] = "refmesh"
    sys.exit(main())

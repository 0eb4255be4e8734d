"""Where an injected pod differs from one that Istio's injector makes, each with its reason.

`judge_istio` takes exactly these away before it compares, and docs/injection.md lists them.
"""

from __future__ import annotations

DIFFERENCES = {
    "programs": "images and the agent's command are this mesh's own: `refmesh agent` where Istio runs `pilot-agent`",
}

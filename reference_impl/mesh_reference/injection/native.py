"""Whether the nodes can run native sidecars: init containers with ``restartPolicy: Always``. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

STABLE_SINCE = (1, 33)
"""The Kubernetes version that made them stable."""
_VERSION = re.compile(r"v?(\d+)\.(\d+)")


def supported(kubelets: Iterable[str]) -> bool:
    """Whether every kubelet is new enough; a version that cannot be read is not. No node at all refuses nothing."""
    return all(
        (found := _VERSION.match(version)) is not None and (int(found[1]), int(found[2])) >= STABLE_SINCE
        for version in kubelets
    )

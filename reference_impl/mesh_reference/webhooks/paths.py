"""The environment that an injection URL carries: ``/inject/cluster/c1/net/n1``. Pure."""

from __future__ import annotations

import logging

_NAMES = {"cluster": "ISTIO_META_CLUSTER_ID", "net": "ISTIO_META_NETWORK"}
_log = logging.getLogger(__name__)


def environment_of(path: str) -> dict[str, str]:
    """Variable -> value; other keys become variables in capitals, ``--slash--`` in a value is a slash.

    A last key without a value is ignored, with a log line.
    """
    parts = [part for part in path.strip("/").split("/")[1:] if part]
    if len(parts) % 2:
        _log.warning("injection path %s: key %s has no value and is ignored", path, parts.pop())
    return {
        _NAMES.get(name, name.upper()): value.replace("--slash--", "/")
        for name, value in zip(parts[::2], parts[1::2], strict=True)
    }

"""Hypothesis strategies: small configurations and requests that nearly, or just, match them.

    from pytest_mesh.strategies import pods, requests_near, virtual_services

are for tests of users; their names and parameters follow SemVer. What belongs here:
what is generated, and how it is made smaller. What does not: sending, judging, and expectations
(``oracle``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_mesh.strategies.user_pods import pods
    from pytest_mesh.strategies.user_routes import requests_near, virtual_services

__all__ = ["pods", "requests_near", "virtual_services"]

_MODULES = {"pods": "user_pods", "requests_near": "user_routes", "virtual_services": "user_routes"}


def __getattr__(name: str) -> Any:
    """Give a public strategy; imported when it is asked for, because Hypothesis's profiles are wanted before and fast."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)

"""How a check's message tells of an answer: who gave it, and what it said. Pure."""

from __future__ import annotations

from pytest_mesh.traffic.responses import Response

_BODY = 200


def told(response: Response) -> str:
    """Give ``200 from reviews-v1-x``, ``503 from a proxy: no healthy upstream`` or ``no answer (reset)``."""
    if not response.status:
        return f"no answer ({response.failure}{f': {response.detail}' if response.detail else ''})"
    if response.pod:
        return f"{response.status} from {response.pod}"
    return f"{response.status} from a proxy: {' '.join(response.body.split())[:_BODY] or '(no body)'}"

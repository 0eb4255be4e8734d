"""Which answers of an API server refuse the document, and which say that something else is wrong. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_mesh.kube import KubeError

_FORBIDDEN = re.compile(r'is forbidden: User "[^"]*" cannot ')
"""RBAC's own refusal: this account's want of rights. A webhook's, which may be a 403 too, is the mesh's."""
_UNTYPED = "failed to create typed patch object"
"""A field that the schema does not have, in a server-side apply: Kubernetes answers 500."""


def refuses_document(error: KubeError) -> bool:
    """Is it the document that the server does not take?"""
    if _UNTYPED in error.message:
        return True
    return error.status < 500 and error.status != 401 and not _FORBIDDEN.search(error.message)

"""What of an API server's answers is laid at the document's door."""

from __future__ import annotations

import pytest

from pytest_mesh.kube import KubeError
from pytest_mesh.refusals import refuses_document


@pytest.mark.parametrize(
    ("status", "message", "refuses"),
    [
        (403, 'admission webhook "validation.istio.io" denied the request: spec.hosts is missing', True),
        (422, 'VirtualService "a" is invalid: spec.http: Too long', True),
        (500, "failed to create typed patch object (/a; networking.istio.io/v1, Kind=VirtualService): .spec.htpp: field not declared in schema", True),
        (500, 'failed calling webhook "validation.istio.io": connection refused', False),
        (503, "the server is currently unable to handle the request", False),
        (401, "Unauthorized", False),
        (403, 'virtualservices is forbidden: User "ci" cannot create resource "virtualservices"', False),
    ],
)  # fmt: skip
def test_refusals_of_documents_are_told_from_other_errors(status: int, message: str, *, refuses: bool) -> None:
    assert refuses_document(KubeError(status, "Reason", message, "PATCH /x")) is refuses

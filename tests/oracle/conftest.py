"""A shop to ask the oracle about: reviews v1 and v2, ratings, and whatever documents a test adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from pytest_mesh import documents
from pytest_mesh.contracts import Request
from pytest_mesh.oracle.model import Source
from pytest_mesh.oracle.outcomes import Prediction
from pytest_mesh.oracle.predicting import predict
from pytest_mesh.oracle.reading import read_world

SHOP = """
{apiVersion: v1, kind: Service, metadata: {name: reviews, namespace: shop}, spec: {selector: {app: reviews}, ports: [{name: http, port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: ratings, namespace: shop}, spec: {selector: {app: ratings}, ports: [{name: http, port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: idle, namespace: shop}, spec: {selector: {app: nobody}, ports: [{name: http, port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: wide, namespace: shop}, spec: {selector: {app: ratings}, ports: [{name: http, port: 80}, {name: http-more, port: 8000}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: reviews-v1, namespace: shop, labels: {app: reviews, version: v1}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: reviews-v2, namespace: shop, labels: {app: reviews, version: v2}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: ratings-v1, namespace: shop, labels: {app: ratings, version: r1}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: reviews
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
  - {name: v9, labels: {version: v9}}
"""

TESTER = Source(namespace="shop", labels={"app": "tester"})
Ask = Callable[..., Prediction]


@pytest.fixture
def ask() -> Ask:
    """Ask about one request: documents (YAML, of namespace shop), URL, and how it is sent."""

    def asked(
        text: str,
        url: str = "http://reviews/",
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        source: Source = TESTER,
        registry_only: bool = False,
    ) -> Prediction:
        found = [(one, "test.yaml") for one in documents.parse(SHOP + "\n---\n" + text)]
        world = read_world(found, namespace="shop", registry_only=registry_only)
        return predict(world, source, Request(url=url, method=method, headers=tuple((headers or {}).items())))

    return asked


@pytest.fixture
def routes() -> Callable[..., str]:
    """Give a VirtualService of host reviews with these http routes (YAML flow)."""
    return routing


def routing(http: str, *, hosts: str = "[reviews]", name: str = "reviews", more: str = "", metadata: str = "") -> str:
    return f"""
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}{metadata}}}
spec: {{hosts: {hosts}, {more}http: {http}}}
"""

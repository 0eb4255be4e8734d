"""Citadel's own counters, by Istio's names where Istio has one (citadel_server_*)."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from mesh_reference.xds.metrics import REGISTRY

REQUESTS = Counter("citadel_server_csr_count", "Certificate requests received.", registry=REGISTRY)
ISSUED = Counter("citadel_server_success_cert_issuance_count", "Certificates issued.", registry=REGISTRY)
UNAUTHENTICATED = Counter(
    "citadel_server_authentication_failure_count", "Requests of callers who are not known.", registry=REGISTRY
)
BAD_CSRS = Counter(
    "citadel_server_csr_parsing_err_count", "Requests that cannot be signed as asked.", registry=REGISTRY
)
SIGN_ERRORS = Counter("citadel_server_csr_sign_err_count", "Requests that the signer failed.", registry=REGISTRY)
LIMITED = Counter("citadel_server_csr_limited_count", "Requests beyond a caller's rate.", registry=REGISTRY)
ROOT_REFUSALS = Counter(
    "citadel_server_root_refused_count", "Successors of the root that were not taken.", registry=REGISTRY
)
ROOT_EXPIRY = Gauge(
    "citadel_server_root_cert_expiry_timestamp", "End of the root's life, Unix seconds.", registry=REGISTRY
)
SIGNER_EXPIRY = Gauge(
    "citadel_server_cert_chain_expiry_timestamp",
    "End of the signing certificate's life, Unix seconds.",
    registry=REGISTRY,
)

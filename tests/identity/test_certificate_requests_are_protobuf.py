"""What the suite's client writes is what protobuf reads: it has no generated code of its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mesh_reference.ca.certificate_service_pb2 import IstioCertificateRequest, IstioCertificateResponse
from pytest_mesh.identity.csr_client import chain_of, request_bytes

WISHES = st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=300), max_size=3)


@given(st.text(max_size=300), st.integers(-(2**63), 2**63 - 1), WISHES)
def test_a_request_is_read_as_it_was_meant(csr, seconds, wishes):
    read = IstioCertificateRequest.FromString(request_bytes(csr.encode(), seconds, wishes))

    assert (read.csr, read.validity_duration, dict(read.metadata)) == (csr, seconds, wishes)


@given(st.lists(st.text(max_size=300), max_size=4))
def test_an_answer_is_read_whole(chain):
    assert chain_of(IstioCertificateResponse(cert_chain=chain).SerializeToString()) == chain

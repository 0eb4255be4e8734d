from collections.abc import Iterable, Mapping, MutableSequence
from typing import Any

from google.protobuf import message, struct_pb2

class IstioCertificateRequest(message.Message):  # type: ignore[misc]
    csr: str
    validity_duration: int
    metadata: struct_pb2.Struct
    def __init__(
        self, csr: str = ..., validity_duration: int = ..., metadata: struct_pb2.Struct | Mapping[str, Any] | None = ...
    ) -> None: ...
    @staticmethod
    def FromString(data: bytes) -> IstioCertificateRequest: ...  # noqa: N802

class IstioCertificateResponse(message.Message):  # type: ignore[misc]
    cert_chain: MutableSequence[str]
    def __init__(self, cert_chain: Iterable[str] = ...) -> None: ...
    @staticmethod
    def FromString(data: bytes) -> IstioCertificateResponse: ...  # noqa: N802

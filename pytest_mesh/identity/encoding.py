"""The rules that stand in a certificate's bytes and that parsers hide or refuse: CERT-V3, CERT-SERIAL, CERT-TIME-ENC. Pure.

Also the two things that RFC 5280 forbids and no field shows (PATH-5280): an
extension twice, and another signature algorithm inside than outside.
"""

from __future__ import annotations

import re
from collections import Counter

from pytest_mesh.identity import der
from pytest_mesh.identity.findings import Finding
from pytest_mesh.identity.rules import found

MAX_SERIAL_OCTETS = 20

_SHAPES = {
    der.UTC_TIME: (re.compile(rb"\d{12}Z"), "UTCTime", "YYMMDDHHMMSSZ"),
    der.GENERALIZED_TIME: (re.compile(rb"\d{14}Z"), "GeneralizedTime", "YYYYMMDDHHMMSSZ"),
}


def check_encoding(certificate: bytes) -> list[Finding]:
    """Judge one certificate's DER, also one that no parser takes. Raises DerError when it is no certificate's shape."""
    version, serial, times, _ = _fields(certificate)
    findings = []
    if version != b"\x02":
        shown = f"v{version[-1] + 1}" if len(version) == 1 else "no number of one byte"
        findings.append(found("CERT-V3", f"certificate version {shown}, not v3", field="version", seen=shown))
    number = int.from_bytes(serial, "big", signed=True)
    if number <= 0 or len(serial) > MAX_SERIAL_OCTETS:
        message = f"the serial is no positive number of at most {MAX_SERIAL_OCTETS} octets"
        findings.append(found("CERT-SERIAL", message, field="serialNumber", seen=f"{number:x}"[:80]))
    for name, time in zip(("notBefore", "notAfter"), times, strict=True):
        findings += [found("CERT-TIME-ENC", said, field=name, seen=_text(time.content)) for said in _time(time)]
    return findings


def check_structure(certificate: bytes) -> list[Finding]:
    """Give the findings PATH-5280 of one certificate's DER. Raises DerError when it is no certificate's shape."""
    outer = der.children(der.read(certificate).content)
    signed = _signed_part(outer)
    findings = []
    inside, outside = signed[1].raw, outer[1].raw
    if inside != outside:
        message = "the signature algorithm inside is not that outside"
        findings.append(
            found("PATH-5280", message, field="signatureAlgorithm", seen=f"{inside.hex()}, {outside.hex()}")
        )
    for oid, count in Counter(_extension_oids(signed)).items():
        if count > 1:
            message = f"an extension stands {count} times in it"
            findings.append(found("PATH-5280", message, field="extensions", seen=oid.hex()))
    return findings


def serial(certificate: bytes) -> bytes:
    """Give the serial number's octets. Raises DerError."""
    return _fields(certificate)[1]


def _fields(certificate: bytes) -> tuple[bytes, bytes, tuple[der.Element, der.Element], list[der.Element]]:
    whole = der.read(certificate)
    outer = der.children(whole.content)
    first = der.children(outer[0].content) if outer else []
    version = b"\0"
    if first and first[0].tag == 0xA0:
        version = der.read(first[0].content).content
    signed = _signed_part(outer)
    times = der.children(signed[3].content)
    if len(times) != 2:
        raise der.DerError("the validity is not two times")
    return version, signed[0].content, (times[0], times[1]), signed


def _signed_part(outer: list[der.Element]) -> list[der.Element]:
    """Give the signed part's elements from the serial on."""
    if len(outer) != 3 or outer[0].tag != der.SEQUENCE:
        raise der.DerError("no certificate: not a signed part, an algorithm and a signature")
    signed = der.children(outer[0].content)
    if signed and signed[0].tag == 0xA0:
        signed = signed[1:]
    shape = [one.tag for one in signed[:6]]
    if shape != [der.INTEGER, *[der.SEQUENCE] * 5]:
        raise der.DerError("no certificate: not a serial, an algorithm, an issuer, a validity, a subject and a key")
    return signed


def _extension_oids(signed: list[der.Element]) -> list[bytes]:
    listed = [element for element in signed[6:] if element.tag == 0xA3]
    return [
        der.read(extension.content).content
        for element in listed
        for extension in der.children(der.read(element.content).content)
    ]


def _time(element: der.Element) -> list[str]:
    if element.tag not in _SHAPES:
        return ["neither UTCTime nor GeneralizedTime"]
    pattern, name, shape = _SHAPES[element.tag]
    if not pattern.fullmatch(element.content):
        return [f"this {name} is not {shape}"]
    if element.tag == der.GENERALIZED_TIME and element.content[:4] < b"2050":
        return ["GeneralizedTime for a year before 2050"]
    return []


def _text(content: bytes) -> str:
    return content[:40].decode("ascii", "backslashreplace")

"""Every feature that the suite can judge: id, level, profile, the rows it covers and where it is specified. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["core", "extended", "provisional"]
Profile = Literal["ISTIO-ROUTING", "MESH-INJECTION", "MESH-IDENTITY", "MESH-VALIDATION"]

SPEC = "istio-1.32"
_NETWORKING = "https://istio.io/latest/docs/reference/config/networking/"
_SECURITY = "https://istio.io/latest/docs/reference/config/security/"
_SPIFFE = "https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md"
_CSR = "https://github.com/istio/api/blob/master/security/v1alpha1/ca.proto"
_SDS = "https://istio.io/latest/docs/concepts/security/#pki"
_AUTHZ = f"{_SECURITY}authorization-policy/"
_AUTHN = f"{_SECURITY}peer_authentication/"
_NEW: Level = "provisional"
_CSR_NAMES = ("IST-ID-FROM-CALLER", "IST-CSR-CONTRACT", "M4", "M6", "M7")
_INJECTION = "https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One promise that a mesh may make. ``rows`` are ids of the semantics that the feature's checks cover."""

    id: str
    profile: Profile
    level: Level = "core"
    title: str
    rows: tuple[str, ...] = ()
    link: str
    spec: str = SPEC
    since: str = "0.1"


def _routing(feature: str, title: str, *rows: str, page: str = "virtual-service/", level: Level = "core") -> Feature:
    return Feature(
        id=feature, profile="ISTIO-ROUTING", level=level, title=title, rows=rows, link=f"{_NETWORKING}{page}"
    )


def _injection(feature: str, title: str, *rows: str, level: Level = "core") -> Feature:
    return Feature(id=feature, profile="MESH-INJECTION", level=level, title=title, rows=rows, link=_INJECTION)


def _identity(feature: str, title: str, *rows: str, link: str = _SPIFFE, level: Level = "core") -> Feature:
    return Feature(id=feature, profile="MESH-IDENTITY", level=level, title=title, rows=rows, link=link)


FEATURES: tuple[Feature, ...] = (
    _routing("VSHeaderExact", "a header match chooses the route", "M7"),
    _routing("VSWeightedSplit", "weights share out the requests", "W1"),
    _routing("VSNoMatch404", "a host whose routes all miss answers 404", "F4"),
    _routing("VSUnknownSubset503", "a route to a subset that nobody defines answers 503", "F1"),
    _routing(
        "VSRouteModel", "generated routes do what the model says", "F1", "F3", "F4", "M2", "W2", "R1", "R4", "R17"
    ),
    _routing("VSShortNames", "a short host is resolved in the VirtualService's namespace", "B2"),
    _routing("DRSubset", "a subset is the pods with its labels", "D1", page="destination-rule/"),
    _routing("DRConnectionPool", "pending requests over the limit overflow", "D10", "F9", page="destination-rule/"),
    _routing("VSFaultAbort", "a share of the requests is aborted", "R9", level="extended"),
    _routing("VSFaultDelay", "a share of the requests is delayed", "R8", level="extended"),
    _routing("VSMirrorPercent", "a share of the requests is copied", "R7", level="extended"),
    _routing("DRLocality", "requests are shared out over localities", "D6", page="destination-rule/", level="extended"),
    _routing(
        "VSRewritten", "what says the same in other words routes the same", "M1", "M16", "W1", level="provisional"
    ),
    _routing("VSGrpc", "gRPC calls are routed and shared out one by one", "W1", "M7", level="provisional"),
    _routing("VSHttp2", "requests on one HTTP/2 connection are shared out one by one", "W1", level="provisional"),
    _routing("VSWebSocket", "a WebSocket is upgraded and routed as a connection", "1.6", "M7", level="provisional"),
    _routing("VSTcp", "TCP connections are shared out by weight", "T3", "T5", level="provisional"),
    _routing("VSTlsSni", "the server name of a TLS connection chooses its route", "T1", level="provisional"),
    _injection("InjectNamespaceOptIn", "a namespace's label turns injection on", "2.1"),
    _injection("InjectPodOptOut", "a pod's label turns injection off", "2.1"),
    _injection("InjectPodContents", "what the injected pod holds, and that nothing of the user's is lost", "2.2"),
    _injection("InjectTrafficCaptured", "traffic goes through the proxy, in and out", "2.3"),
    _injection("InjectOffline", "offline injection makes what the webhook makes", "2.6"),
    _injection(
        "InjectPreservesPod",
        "generated Pods lose nothing, keep their order, and are injected once",
        "2.2",
        level="provisional",
    ),
    _injection("InjectProbes", "the kubelet's probes reach the application, under STRICT too", "2.5", level="extended"),
    _identity("SvidUriSan", "exactly one URI SAN, and the workload's own", "SVID-URI-ONE", "IST-ID"),
    _identity("SvidLeafProfile", "the leaf keeps the X509-SVID profile", "LEAF-*", "CERT-*"),
    _identity("SvidChain", "the chain leads to the published root, which is the one in the Secret", "PATH-*"),
    _identity("SvidTtl", "the leaf lives 24 hours at most", "IST-TTL", link=f"{_SECURITY}"),
    _identity("RotationNoLoss", "the certificate changes under traffic and no request fails", "IST-ROT", "M45", "M49"),
    _identity("PeerIdentityMatches", "the server sees the identity of its caller", "IST-XFCC", "M65"),
    _identity(
        "StrictRefusesPlaintext",
        "STRICT refuses plaintext",
        "F11",
        "M58",
        link=f"{_SECURITY}peer_authentication/",
    ),
    _identity(
        "StrictRefusesForeignSvid",
        "an SVID of another root, of another trust domain, self-signed, or none at all is refused",
        *("PATH-SIG", "PATH-ISSUER", "TD-BUNDLE-BIND", "IST-SRV-TD", "M59", "M60"),
    ),
    _identity("StrictRefusesStaleSvid", "an SVID out of its time is refused", "PATH-TIME", "M59"),
    _identity(
        "StrictRefusesNamelessSvid", "a certificate without a SPIFFE ID is refused", "SVID-SCHEME-V", "IST-SRV-TD"
    ),
    _identity(
        "RotationOfRoot",
        "a root is added, switched to and removed under traffic, no request fails, and the old root is worth nothing",
        *("IST-PLUG", "IST-ROOT-DIST", "FED-NEW-KEY-FIRST", "FED-OLD-KEY-LAST", "M54", "M55"),
        link="https://istio.io/latest/docs/tasks/security/cert-management/plugin-ca-cert/",
        level="extended",
    ),
    _identity(
        "StrictModernTls",
        "a server speaks TLS 1.2 and later by strong ciphers only",
        *("IST-TLS-MIN", "M64"),
        link="https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/",
        level=_NEW,
    ),
    _identity(
        "PeerServerIdentity",
        "a server with another account's certificate gets no request",
        *("IST-CLI-SAN", "M62"),
        link=_AUTHN,
        level=_NEW,
    ),
    _identity(
        "PeerTrustDomainAlias",
        "a peer of an alias of the trust domain is admitted",
        *("IST-SRV-TD", "M60"),
        link=_AUTHN,
        level=_NEW,
    ),
    _identity(
        "RotationOutage", "a certificate is served to its end while nobody renews it", "IST-ROT", "M53", level=_NEW
    ),
    _identity(
        "CsrSignerLifetime",
        "a leaf ends with its signer, and an expired signer signs nothing",
        *("IST-CLAMP", "M31", "M32"),
        link=_CSR,
        level=_NEW,
    ),
    _identity(
        "CsrTrustedNodes",
        "a trusted node gets certificates of the pods on it only",
        *("IST-IMP", "M16"),
        link=_CSR,
        level=_NEW,
    ),
    _identity(
        "CsrCallerByCertificate",
        "a workload renews its certificate by the one that it has, and nobody by another mesh's",
        *("IST-AUTHN-ORDER", "M19"),
        link=_CSR,
        level=_NEW,
    ),
    _identity(
        "SdsOwnIdentity",
        "a pod's agent gives its own pod's identity, whatever name it is asked for",
        *("IST-SDS", "M52"),
        link=_SDS,
        level=_NEW,
    ),
    _identity(
        "SdsKnownNames",
        "a pod's agent gives no private key under a name that is not its pod's",
        *("IST-SDS", "M52"),
        link=_SDS,
        level=_NEW,
    ),
    _identity("AuthzAllow", "ALLOW admits whom it names to what it names, and nobody else", "IST-ID", link=_AUTHZ),
    _identity("AuthzNamespaces", "a caller's namespace is the one in its certificate", "IST-ID", link=_AUTHZ),
    _identity("AuthzDeny", "DENY comes before ALLOW", "IST-ID", link=_AUTHZ),
    _identity("AuthzTcp", "connections are decided on as requests are", "IST-ID", link=_AUTHZ),
    _identity("CsrNamesIgnored", "no name or extension that a request asks for is granted", *_CSR_NAMES, link=_CSR),
    _identity("CsrCallerKnown", "nobody without proof gets a certificate", "IST-CODES", "M9", "M10", "M12", link=_CSR),
    _identity("CsrCallerAlive", "the token of a deleted pod gets no certificate", "M11", link=_CSR),
    _identity("CsrSignature", "a request that its key did not sign is refused", "IST-CSR-CHECKS", "M34", link=_CSR),
    _identity(
        "CsrLifetime", "a leaf lives as long as was asked for, and never too long", "IST-TTL", "M29", "M30", link=_CSR
    ),
    _identity("CsrHostile", "a hostile request is refused, and the next good one answered", "M43", "M44", link=_CSR),
    _identity("CsrStrongKeys", "a weak key gets no certificate", "M35", link=_CSR, level="extended"),
    Feature(
        id="RejectsInvalid",
        profile="MESH-VALIDATION",
        title="an invalid document is refused and the field is named",
        rows=("4.1",),
        link="https://istio.io/latest/docs/reference/config/analysis/",
    ),
    Feature(
        id="AcceptedNeverNacked",
        profile="MESH-VALIDATION",
        level=_NEW,
        title="no proxy refuses what the mesh accepted",
        rows=("4.1",),
        link="https://istio.io/latest/docs/reference/config/analysis/",
    ),
)

BY_ID = {feature.id: feature for feature in FEATURES}

"""Agents of a benchmark, in a process of their own: each has a channel, a key and a token, and asks for its certificate.

Run as ``python fake_agents.py PORT AGENTS ROUNDS AT_ONCE CHANNELS``: every agent asks ROUNDS times, AT_ONCE requests are under way,
over CHANNELS connections. For each line on its standard input it does so once, and writes one line of JSON: seconds, answered,
distinct leaves of all that it got so far, refusals by code, longest wait.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_reference.ca.certificate_service_pb2 import IstioCertificateRequest, IstioCertificateResponse

METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
KEYS = 200
"""Requests that differ in their keys; making one costs as much as answering it."""


def request() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    pem = csr.public_bytes(serialization.Encoding.PEM).decode()
    return IstioCertificateRequest(csr=pem, validity_duration=86_400).SerializeToString()


async def main(port: int, agents: int, rounds: int, at_once: int, channels: int) -> None:
    requests = [request() for _ in range(min(KEYS, agents))]
    options = [("grpc.use_local_subchannel_pool", 1)]
    opened = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) for _ in range(channels)]
    calls = [
        channel.unary_unary(METHOD, response_deserializer=IstioCertificateResponse.FromString) for channel in opened
    ]
    distinct: set[str] = set()

    async def turn() -> dict[str, Any]:
        work = iter([agent for _ in range(rounds) for agent in range(agents)])
        refused: Counter[str] = Counter()
        answered, longest = 0, 0.0

        async def lane() -> None:
            nonlocal answered, longest
            for agent in work:
                metadata = (("authorization", f"Bearer pod-{agent}"), ("clusterid", "Kubernetes"))
                began = time.monotonic()
                try:
                    got = await calls[agent % channels](requests[agent % len(requests)], metadata=metadata, timeout=120)
                except grpc.aio.AioRpcError as error:
                    refused[f"{error.code().name}: {error.details()}"] += 1
                else:
                    answered += 1
                    distinct.add(got.cert_chain[0])
                longest = max(longest, time.monotonic() - began)

        started = time.monotonic()
        await asyncio.gather(*itertools.starmap(lane, [()] * at_once))
        seconds = time.monotonic() - started
        return {
            "seconds": seconds,
            "answered": answered,
            "distinct": len(distinct),
            "refused": dict(refused),
            "longest": longest,
        }

    print("ready", flush=True)  # noqa: T201
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await turn()), flush=True)  # noqa: T201
    for channel in opened:
        await channel.close()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))

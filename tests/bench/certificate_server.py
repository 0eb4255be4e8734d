"""Citadel of a benchmark, in a process of its own: the certificate service over plaintext gRPC, whose callers are known by their tokens.

Run as ``python certificate_server.py ALGORITHM``; writes its port, then for each line that it reads one line of JSON:
CPU seconds so far, resident MiB, requests, issued, TokenReviews. ALGORITHM is of the root (``ECDSA-P256``, ``RSA-2048``).
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc

from mesh_reference import log_lines
from mesh_reference.app import GRPC_OPTIONS
from mesh_reference.app_command import COLLECT_AFTER
from mesh_reference.ca import metrics, serving
from mesh_reference.ca.authentication import AUDIENCE, GROUP, POD_NAME, POD_UID, Authenticator
from mesh_reference.ca.authority import Authority
from mesh_reference.ca.succession import Succession
from mesh_reference.settings import Settings


class Tokens:
    """A Kubernetes whose tokens are ``pod-N``: every one is good, and takes ``seconds`` to review."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.reviews = 0

    async def token_review(self, token: str, _audiences: list[str]) -> dict[str, Any]:
        self.reviews += 1
        if self._seconds:
            await asyncio.sleep(self._seconds)
        number = int(token.removeprefix("pod-"))
        user = {
            "username": f"system:serviceaccount:ns-{number % 50}:account-{number % 500}",
            "groups": [GROUP],
            "extra": {POD_NAME: [token], POD_UID: [f"uid-{number}"]},
        }
        return {"authenticated": True, "audiences": [AUDIENCE], "user": user}


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


async def main(algorithm: Any, review_seconds: float) -> None:
    # Every issue is logged in life, so it is here: the line is made, and thrown away by the file.
    log_lines.configure("info", Path("/dev/null").open("w"))  # noqa: SIM115, ASYNC230
    gc.set_threshold(*COLLECT_AFTER)
    authority = Authority.create("cluster.local", now=datetime.now(UTC), algorithm=algorithm)
    tokens, settings = Tokens(review_seconds), Settings()
    server = grpc.aio.server(options=GRPC_OPTIONS)
    serving.register(server, Succession(authority), Authenticator(tokens, settings))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)  # noqa: T201
    await server.start()
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        said = {
            "cpu": time.process_time(),
            "mib": resident_mib(),
            "requests": metrics.REQUESTS._value.get(),
            "issued": metrics.ISSUED._value.get(),
            "reviews": tokens.reviews,
        }
        print(json.dumps(said), flush=True)  # noqa: T201
    await server.stop(None)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))

"""Imports aiohttp without the system's certificate authorities, which it would read for a context of its own (20 to 60 ms).

Import it before anything that imports aiohttp, and only in a program that makes its own context for every TLS call:
aiohttp's default one trusts nobody afterwards. Contexts made later have the system's authorities as ever.
"""

from __future__ import annotations

import os

_NAME = "SSL_CERT_FILE"

_given = os.environ.get(_NAME)
os.environ[_NAME] = os.devnull
try:
    import aiohttp
finally:
    if _given is None:
        del os.environ[_NAME]
    else:
        os.environ[_NAME] = _given

__all__ = ["aiohttp"]

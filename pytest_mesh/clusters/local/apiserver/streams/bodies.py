"""A streamed answer passed on as it comes, whose end tells the client whether it was whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from aiohttp import web


async def pump(request: web.Request, response: web.StreamResponse, source: aiohttp.StreamReader) -> None:
    """Write all of ``source`` into a prepared ``response``.

    If the source breaks off, so does the client's connection (ConnectionResetError): a chunked body
    that ended properly would pass for a complete one.
    """
    try:
        async for chunk in source.iter_any():
            await response.write(chunk)
    except aiohttp.ClientError as error:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError(f"the source of {request.path} broke off: {error}") from error

"""Reading an upload: raw bytes, no more of them and no longer than the limits say."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from pipeline.params import Serve
from pipeline.serve.problems import Problem


async def upload(request: Request, settings: Serve) -> bytes:
    """Return the body of a request.

    Raises:
        Problem: it is empty, too large, too slow, or a form.
    """
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        raise Problem(415, "form", "Send the picture's bytes as the body itself, not as a form.")
    too_large = Problem(
        413, "too_large", f"A picture may have at most {settings.max_bytes / 1e6:g} MB here; send a smaller copy."
    )
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 15 or int(length) > settings.max_bytes):
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(settings.upload_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > settings.max_bytes:
                    raise too_large
    except TimeoutError:
        raise Problem(
            408, "upload_too_slow", f"The picture did not arrive within {settings.upload_seconds:g} s; try again."
        ) from None
    except ClientDisconnect:
        raise Problem(400, "gone", "The upload was broken off.") from None
    if not body:
        raise Problem(422, "no_picture", "Send a picture's bytes as the body.")
    return bytes(body)

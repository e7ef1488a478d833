"""Reading an upload: a picture's bytes or a form of pictures, no more and no longer than the limits say."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from pipeline.params import Serve
from pipeline.serve.forms import Upload, is_form, read_form
from pipeline.serve.problems import Problem


async def upload(request: Request, settings: Serve, most_references: int | None = None) -> Upload:
    """Return what a request brings: its body is a picture, or a form with one.

    Args:
        request: of which nothing was read yet.
        settings: limits.
        most_references: that a form may bring, in place of `settings.max_references`.

    Raises:
        Problem: it is empty, too large, too slow, or no whole form.
    """
    content_type = request.headers.get("content-type", "")
    body = await _body(request, settings)
    most = settings.max_references if most_references is None else most_references
    sent = read_form(body, content_type, most) if is_form(content_type) else Upload(body)
    if not all((sent.picture, *sent.references)):
        raise Problem(422, "no_picture", "Send a picture's bytes as the body; what came is empty.")
    return sent


async def _body(request: Request, settings: Serve) -> bytes:
    """Return the body of a request.

    Raises:
        Problem: it is too large or too slow.
    """
    too_large = Problem(
        413, "too_large", f"An upload may have at most {settings.max_bytes / 1e6:g} MB here; send a smaller copy."
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
    return bytes(body)

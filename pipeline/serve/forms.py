"""Forms with pictures in them (multipart/form-data, RFC 7578), read in memory: no part ever touches a disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser

from pipeline.serve.problems import Problem

_HEAD = 4096  # bytes of a part's headers


@dataclass(frozen=True)
class Upload:
    """What was sent: the picture's bytes, and those of references that it is to be painted after."""

    picture: bytes
    references: tuple[bytes, ...] = ()


def is_form(content_type: str) -> bool:
    """Return whether a body of this type is a form."""
    return content_type.lower().startswith("multipart/")


def read_form(body: bytes, content_type: str, most: int) -> Upload:
    """Return the pictures of a form: one part `picture`, and up to `most` parts `reference`.

    Raises:
        Problem: it is no whole form, has other parts, or too many references.
    """
    pictures: list[bytes] = []
    references: list[bytes] = []
    for name, content in _parts(body, content_type, most + 1):
        if name not in (("picture", "reference") if most else ("picture",)):
            parts = "the parts `picture` and `reference`" if most else "one part `picture`"
            told = f"a form holds {parts}; everything else stands in the address"
            raise Problem(422, "form", f"This form has a part {name[:40]!r}: {told}.")
        (pictures if name == "picture" else references).append(content)
    if len(pictures) != 1:
        raise Problem(422, "form", f"This form has {len(pictures)} parts `picture`; send one.")
    if len(references) > most:
        raise Problem(422, "form", f"This form has {len(references)} references; at most {most} are taken.")
    return Upload(pictures[0], tuple(references))


def _parts(body: bytes, content_type: str, most: int) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each part.

    Raises:
        Problem: it is no whole form, or has more than `most` parts.
    """
    broken = Problem(422, "form", "This form is not whole. Send it anew, or the picture's bytes as the body itself.")
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str) or not 0 < len(boundary) <= 70 or not boundary.isascii():
        raise broken
    line = b"--" + boundary.encode()
    if body.count(line) > most + 2:
        raise Problem(422, "form", f"This form has more than {most} parts; send fewer.")
    start = 0 if body.startswith(line) else body.find(b"\r\n" + line) + 2
    pieces = body[start + len(line) :].split(b"\r\n" + line)
    if not body.startswith(line, start) or len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise broken
    for piece in pieces[:-1]:
        head, found, content = piece.partition(b"\r\n\r\n")
        if not found or len(head) > _HEAD or head.partition(b"\r\n")[0].strip(b" \t"):
            raise broken
        name = BytesHeaderParser().parsebytes(head.partition(b"\r\n")[2]).get_param("name", "", "content-disposition")
        yield (name if isinstance(name, str) else ""), content

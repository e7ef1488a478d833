"""Parameters of `atelier serve` and `atelier studio`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pipeline.params.ranges import Between


@dataclass(frozen=True)
class Serve:
    """What `atelier serve` and `atelier studio` listen on, and how much they take at once."""

    host: str  # an address other than loopback demands a token
    port: Annotated[int, Between(0, 65535)]  # 0: a free one
    max_bytes: Annotated[int, Between(10_000, 1_000_000_000)]  # of one upload
    max_pixels: Annotated[int, Between(10_000, 500_000_000)]  # of one picture
    max_references: Annotated[int, Between(1, 64)]  # that one picture is painted after
    at_once: Annotated[int, Between(1, 256)]  # pictures that are opened and painted at the same time
    waiting: Annotated[int, Between(0, 10_000)]  # pictures that may wait for it; the next one is told to come again
    upload_seconds: Annotated[float, Between(0.1, 86_400)]  # within which an upload has arrived
    decode_seconds: Annotated[float, Between(0.1, 86_400)]  # within which one picture is opened
    decoder_memory_mb: Annotated[int, Between(256, 1_000_000)]  # of one decoder, above what it starts with
    paint_seconds: Annotated[float, Between(0.1, 86_400)]  # for painting one picture, and for waiting before
    poll_seconds: Annotated[float, Between(0.01, 86_400)]  # between two looks at the registry
    prefect: str  # address of Prefect's pages, which the studio links to
    mlflow: str  # address of MLflow's pages

"""How a frozen network looks: alone, and leaving nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def looking() -> Iterator[None]:
    """Look without gradients and with one thread; afterwards as many as before.

    The last digits of a sum depend on how many threads share it, and a figure must not.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(threads)

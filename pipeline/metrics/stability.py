"""Stability: whether a training that stopped a little earlier would have given another model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.metrics.bootstrap import Samples


def unsettled(distances: Sequence[Samples]) -> dict[str, Samples]:
    """Return samples of `stability/snapshots`: the deviation of a distance over snapshots, relative to their mean.

    Args:
        distances: samples of one distance for the model and each of its snapshots, on the same resamples.
    """
    if len(distances) < 2:
        return {}
    together = np.stack(distances)
    with np.errstate(divide="ignore", invalid="ignore"):  # distances that are all 0: no number
        return {"stability/snapshots": together.std(axis=0, ddof=1) / together.mean(axis=0)}

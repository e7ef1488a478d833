"""Which network looks for the kernel distance: the published ones where their weights are, else the style's judge."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.metrics.references import Features
from pipeline.observers.pretrained import inception_features, vgg16_features
from pipeline.weights import CACHED, Found, cache


def choose(wanted: str, weights: Found, judge: Features | None) -> Features | None:
    """Return the features to measure with.

    Args:
        wanted: `evaluate.features`: inception, vgg16, judge, or auto: the first of these that is at hand.
        weights: what `find_weights` found.
        judge: the features of the style's frozen judge, if it has one.

    Returns:
        None only for auto, when there is nothing at hand.

    Raises:
        ValueError: the wanted ones are not at hand, or their file holds something else.
    """
    at_hand: dict[str, Callable[[], Features]] = {}
    if weights.inception is not None:
        path = weights.inception
        at_hand["inception"] = lambda: inception_features(path)
    if weights.vgg16 is not None:
        other = weights.vgg16
        at_hand["vgg16"] = lambda: vgg16_features(other)
    if judge is not None:
        at_hand["judge"] = lambda: judge
    if wanted == "auto":
        return next(iter(at_hand.values()))() if at_hand else None
    if wanted not in at_hand:
        raise ValueError(f"evaluate.features is {wanted!r}, but {_advice(wanted)}; or set it to auto")
    return at_hand[wanted]()


def _advice(wanted: str) -> str:
    if wanted == "judge":
        return "the style has no judge: `dvc repro judge@STYLE` trains one"
    return (
        f"its weights are not at hand: download {CACHED[wanted][0]}, and name it as weights.{wanted} in params.yaml "
        f"or put it into {cache()}"
    )

"""What a person may ask of a painting, checked before anything is loaded."""

from __future__ import annotations

FINEST = 100.0  # the largest scale that means anything


def check_scale(scale: float) -> float:
    """Return a scale that is one.

    Raises:
        ValueError: it is not above 0, or beyond `FINEST`.
    """
    if not 0 < scale <= FINEST:
        raise ValueError(
            f"scale is {scale}; it must be above 0 and at most {FINEST:g}: 1 gives strokes the share of the picture "
            f"that they had in training, 2 paints with brushes half as wide"
        )
    return scale


def check_strength(strength: float) -> float:
    """Return a strength that is one.

    Raises:
        ValueError: it is not between 0 and 1.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength is {strength}; it must be between 0 and 1")
    return strength

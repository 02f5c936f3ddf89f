"""Lines around a function of one variable on an interval, from its pieces, on each of which it is convex or concave.

What a line may be is decided by :func:`tilted_max` alone, which is rigorous: for any slope s the line through its value
bounds phi from above, ``phi(z) <= s z + max_z (phi(z) - s z)``, and with minus signs from below. Which slope is a good
one is another question, and nothing depends on the answer but how tight bounds are.
"""

from __future__ import annotations

from itertools import combinations
from typing import Protocol

import numpy as np

EPS = float(np.finfo(float).eps)
# phi and its derivative are taken to be right to four units in the last place; products and sums add some more.
ROUNDING = 12 * EPS
# An interval is halved so often in search of the point where a tangent has a given slope: to the last digit.
HALVINGS = 55
# Where phi is not linear, slopes are those of chords between so many points of an interval. An even number: half-way
# itself, where all chords of a concave function would meet it, is none of them.
N_POINTS = 16


class Pieces(Protocol):
    """What of a function is asked for here; :class:`~bcd_implicit.terms.function.ElementwiseFunction` says more."""

    max_slope: float
    nondecreasing: bool
    kinks: tuple[float, ...]
    curvatures: tuple[int, ...] | None

    @property
    def piecewise_linear(self) -> bool: ...
    def __call__(self, z: np.ndarray) -> np.ndarray: ...
    def derivative(self, z: np.ndarray) -> np.ndarray: ...
    def image(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


def tilted_max(phi: Pieces, w: np.ndarray, tilt: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """What ``w phi(z) - tilt z`` is at most for z between ``low`` and ``high``, rounding included.

    On a piece where it is linear or convex the largest value is at an end. If it is concave it lies below each of
    its tangents; the one with about the smallest slope is taken. Without pieces all that is known of phi is that it
    does not leave its image, and, where it never falls, its largest slope.
    """
    if phi.curvatures is None:
        points, values = _without_pieces(phi, w, low, high)
        largest = np.max([value - tilt * z for z, value in zip(points, values, strict=True)], axis=0)
    else:
        points = _points(phi, low, high)
        # Not the first of them: of one piece there might be no second.
        largest = np.max([w * phi(z) - tilt * z for z in points], axis=0)
        for curvature, begin, end in zip(phi.curvatures, points[:-1], points[1:], strict=True):
            if curvature:
                tangent = _tangent(phi, w, tilt, begin, end, curvature)
                largest = np.where(w * curvature < 0, np.maximum(largest, tangent), largest)
    least_x, largest_x = phi.image(low, high)
    sizes = np.abs(w) * np.maximum(np.abs(least_x), np.abs(largest_x))
    return np.asarray(largest + ROUNDING * (sizes + np.abs(tilt) * np.maximum(np.abs(low), np.abs(high))))


def _points(phi: Pieces, low: np.ndarray, high: np.ndarray) -> list[np.ndarray]:
    """The ends of the pieces; those outside become empty ones at an end."""
    return [low, *(np.clip(kink, low, high) for kink in phi.kinks), high]


def _tangent(
    phi: Pieces, w: np.ndarray, tilt: np.ndarray, begin: np.ndarray, end: np.ndarray, curvature: int
) -> np.ndarray:
    """The largest value of a tangent to ``w phi(z) - tilt z`` between two points."""
    left, right = begin, end
    for _ in range(HALVINGS):
        middle = 0.5 * left + 0.5 * right
        # Concave: as long as it rises the largest value is on the right.
        rises = w * phi.derivative(middle) > tilt
        left, right = np.where(rises, middle, left), np.where(rises, right, middle)
    z = 0.5 * left + 0.5 * right
    steep = w * phi.derivative(z)
    slope = steep - tilt
    off = ROUNDING * (np.abs(steep) + np.abs(tilt)) * (end - begin)
    return np.asarray(w * phi(z) - tilt * z + np.maximum(slope * (begin - z), slope * (end - z)) + off)


def _without_pieces(
    phi: Pieces, w: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Points z, and values there of a concave polyline that lies above w phi."""
    least, largest = phi.image(low, high)
    top = np.where(w > 0, w * largest, w * least)
    if not (phi.nondecreasing and np.isfinite(phi.max_slope) and phi.max_slope > 0):
        return [low, high], [top, top]
    # From low on phi is at most phi(low) + L (z - low), and at most phi(high); towards high the same from below.
    reach = (largest - least) / phi.max_slope
    bend = np.where(w > 0, np.minimum(low + reach, high), np.maximum(high - reach, low))
    return [low, bend, high], [np.where(w > 0, w * least, top), top, np.where(w > 0, top, w * largest)]


def envelope_slopes(phi: Pieces, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes of a line below phi and of one above it between ``low`` and ``high``, each of their shape.

    Each line is, half-way between the ends, as close to phi as one can be: that of phi's convex, or concave, envelope.
    If phi is not linear between its kinks, about. For relu that is the chord above, and below a slope of 1 where
    more of the interval is on the right of 0, else 0 (Zhang et al., CROWN, arXiv 1811.00866).
    """
    points = outline(phi, low, high)
    values, half_way = [phi(z) for z in points], 0.5 * low + 0.5 * high
    below, above = np.full(np.shape(low), np.inf), np.full(np.shape(low), -np.inf)
    slopes = np.zeros((2, *np.shape(low)))
    for (z, value), (other, other_value) in combinations(zip(points, values, strict=True), 2):
        crosses = (z <= half_way) & (half_way <= other) & (z < other)
        slope = np.divide(other_value - value, other - z, out=np.zeros_like(half_way), where=crosses)
        chord = value + slope * (half_way - z)
        lower, upper = crosses & (chord < below), crosses & (chord > above)
        below, above = np.where(lower, chord, below), np.where(upper, chord, above)
        slopes = np.where([lower, upper], slope, slopes)
    # Next to each other, ends tell nothing of slopes but rounding.
    steepest = phi.max_slope
    least = 0.0 if phi.nondecreasing else -steepest
    return np.clip(slopes[0], least, steepest), np.clip(slopes[1], least, steepest)


def outline(phi: Pieces, low: np.ndarray, high: np.ndarray) -> list[np.ndarray]:
    """Points from ``low`` to ``high`` between which chords are close to phi: the kinks where these tell all of it."""
    if phi.piecewise_linear:
        return _points(phi, low, high)
    shares = np.linspace(0.0, 1.0, N_POINTS)[1:-1]
    return [low, *(low + share * (high - low) for share in shares), high]


def cut_points(phi: Pieces, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Where to cut intervals in two: at the kink that is nearest to the middle, or there if there is none inside."""
    middle = 0.5 * low + 0.5 * high
    points, nearest = middle, np.full(np.shape(low), np.inf)
    for kink in phi.kinks:
        closer = (low < kink) & (kink < high) & (np.abs(kink - middle) < nearest)
        points, nearest = np.where(closer, kink, points), np.where(closer, np.abs(kink - middle), nearest)
    return points


def is_linear(phi: Pieces, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whether phi is linear between ``low`` and ``high``, as far as is known: bool, of their shape."""
    linear = np.asarray(low == high)
    if phi.curvatures is None:
        return linear
    ends = [-np.inf, *phi.kinks, np.inf]
    for curvature, begin, end in zip(phi.curvatures, ends[:-1], ends[1:], strict=True):
        linear = linear | ((begin <= low) & (high <= end) & (curvature == 0))
    return linear

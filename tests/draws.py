"""Numbers for property-based tests to draw: those whose squares and products keep their digits."""

from hypothesis import strategies as st

# Squares and products of smaller ones leave the range in which floating-point numbers have all their digits, and with
# it every relative tolerance. What such inputs may do is tested where they come in: at the front doors.
SMALLEST = 1e-60


def entries(low: float, high: float) -> st.SearchStrategy[float]:
    """Numbers from low to high, zero among them, but none that is nearly zero."""
    return st.floats(low, high).map(lambda value: value if abs(value) >= SMALLEST else 0.0)

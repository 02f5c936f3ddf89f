"""Training for robustness: models whose gains are bounded, and what accuracy that costs."""

from bcd_implicit.tradeoff.curve import RobustnessCurve, RobustPoint, robustness_curve
from bcd_implicit.tradeoff.measures import measured
from bcd_implicit.tradeoff.scaling import scaled_to_gain

__all__ = ["RobustPoint", "RobustnessCurve", "measured", "robustness_curve", "scaled_to_gain"]

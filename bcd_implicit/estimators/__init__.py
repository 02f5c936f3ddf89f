"""scikit-learn estimators, thin over :func:`~bcd_implicit.solve` and :func:`~bcd_implicit.kappa_path`."""

from bcd_implicit.estimators.classifier import ImplicitClassifier
from bcd_implicit.estimators.regressor import ImplicitRegressor
from bcd_implicit.estimators.selector import ImplicitFeatureSelector

__all__ = ["ImplicitClassifier", "ImplicitFeatureSelector", "ImplicitRegressor"]

from .classifier import ImplicitClassifier as ImplicitClassifier
from .regressor import ImplicitRegressor as ImplicitRegressor
from .selector import ImplicitFeatureSelector as ImplicitFeatureSelector

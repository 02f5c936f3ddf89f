"""scikit-learn estimators, thin over :func:`~bcd_implicit.solve` and :func:`~bcd_implicit.kappa_path`."""

import lazy_loader

# What the selector needs of scikit-learn takes a while to import, and the others do without.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

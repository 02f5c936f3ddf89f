"""The attributes and methods of a model that its mixins use, declared once for type checkers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    import pandas as pd
    from numpy.typing import ArrayLike

    from bcd_implicit.model.fixed_point import FixedPoint
    from bcd_implicit.model.matrices import Matrix
    from bcd_implicit.model.origin import Part
    from bcd_implicit.model.structure import Structure
    from bcd_implicit.terms.function import ElementwiseFunction


class Declared:
    """The attributes and methods of :class:`~bcd_implicit.ImplicitModel` that its other bases use."""

    if TYPE_CHECKING:
        A: Matrix
        B: Matrix
        b: np.ndarray
        C: Matrix
        D: Matrix
        d: np.ndarray
        activation: ElementwiseFunction
        link: str
        vector_output: bool
        input_names: list[str]
        output_names: list[str]
        _parts: tuple[Part, ...]

        def structure(self) -> Structure: ...
        def predict(self, U: ArrayLike, *, solver: str = "auto") -> np.ndarray: ...
        def outputs(self, U: ArrayLike, *, solver: str = "auto") -> np.ndarray: ...
        def sensitivity(self) -> pd.DataFrame: ...
        def _copy(self, **changes: Any) -> Any: ...
        def _weights(self) -> np.ndarray: ...
        def _states(self, inputs: np.ndarray, solver: str = "auto", tol: float = 1e-10) -> FixedPoint: ...
        def _drive(self, inputs: np.ndarray) -> np.ndarray: ...

"""What a model says of its inputs to people; :class:`~bcd_implicit.ImplicitModel` inherits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.model.derivatives import Derivatives
from bcd_implicit.model.explanations.explanation import Explanation
from bcd_implicit.model.explanations.importance import Importance, measured
from bcd_implicit.model.explanations.question import Question
from bcd_implicit.model.inputs import inputs_of, targets_of
from bcd_implicit.model.robustness import Robustness
from bcd_implicit.model.robustness.box import check_radius
from bcd_implicit.model.robustness.certified import classes_of
from bcd_implicit.support.arrays import as_pandas_or_array
from bcd_implicit.support.checks import check_number, random_generator
from bcd_implicit.support.interruption import finishing
from bcd_implicit.support.samples import check_as_many, warn_if_constant
from bcd_implicit.terms.groups import Groups
from bcd_implicit.terms.losses import Loss, get_loss

#: What is explained by default, and the loss of targets, by the scale of predictions.
ABOUT = {"identity": "values", "log": "values", "logit": "labels", "softmax": "class"}
BY_LINK = {"identity": "squared", "log": "poisson", "logit": "logistic", "softmax": "cross-entropy"}


class Explanations(Derivatives, Robustness):
    """Which inputs could have changed a prediction, and which the model needs."""

    def explain(
        self,
        U: ArrayLike,
        radius: ArrayLike,
        *,
        groups: Sequence[Any] | Mapping[str, Sequence[Any]] | None = None,
        about: str | None = None,
        outputs: Sequence[str | int] | None = None,
        method: str = "backward",
        rounds: int | None = None,
        n_cuts: int | None = None,
    ) -> Explanation:
        """Which single inputs could have changed predictions, and by how much.

        Each input is moved up or down by its radius while all others stay fixed. The result has certified bounds on the
        prediction (nothing beyond them is possible), and the smallest and largest values found by an attack (these are
        possible). For a class: which single inputs could change it, and which provably cannot.

        Parameters
        ----------
        U : array-like of shape (m, p), or (p,)
            A few samples, as for :meth:`~bcd_implicit.ImplicitModel.predict`, or one; a row of a data frame keeps its
            names.
        radius : float, or array-like of shape (p,) or (m, p)
            How far each input may move, in its own units; 0 for inputs that are certain. There is no default, because a
            model does not know how its inputs vary: ``0.1 * data.std()`` is a tenth of a standard deviation.
        groups : sequence of p labels, or mapping from a group's name to its inputs' names, optional
            Inputs that move together, such as the columns that encode one category.
        about : {"values", "class", "labels"}, optional
            What to explain: predictions ("values"); by how much the largest output is above all others ("class"); or
            how far each output is from 0 ("labels"). The default follows ``link``: "class" for "softmax", "labels" for
            "logit".
        outputs : list of str or int, optional
            Names or indices of the outputs, for values and labels; all by default.
        method, rounds, n_cuts
            As in :meth:`~bcd_implicit.model.robustness.robustness.Robustness.bounds`, with the same defaults.

        Returns
        -------
        Explanation
            ``print`` it for a few plain lines; ``table``, the most important input first; ``lower``, ``upper``,
            ``reached_lower`` and ``reached_upper`` of shape (m, k, g) for k outputs and g inputs or groups;
            ``safe()`` for the radii at which nothing changes, and ``check()``.

        Raises
        ------
        InvalidInputError
            Inputs, a radius, groups or outputs that do not fit, a negative radius, or a model that the method cannot
            bound.
        NotWellPosedError
            The model has no certified equilibrium.
        """
        inputs = inputs_of(self, as_rows(U))
        reach = check_radius(radius, inputs.shape, self.input_names)
        known = Groups.parse(groups, None, self.input_names)
        about = check_choice("about", ABOUT[self.link] if about is None else about, ("values", "class", "labels"))
        if about == "class":
            if outputs is not None:
                cause = "is for values and labels, but this explanation is about a class, which depends on all outputs"
                raise InvalidInputError("outputs", cause, "Omit it, or use about='values'")
            # One output has a class on each side of 0.
            about = "labels" if len(self.d) == 1 else about
        chosen = {"method": method, "rounds": rounds, "n_cuts": n_cuts}
        options = {name: value for name, value in chosen.items() if value is not None}
        question = Question(self, inputs, reach, known, about, self._chosen(outputs), options)
        shares = np.ones((len(inputs), len(known.names)))
        with finishing():
            return Explanation(question, shares, question.proved(shares), question.reached(shares))

    def importance(
        self,
        U: ArrayLike,
        Y: ArrayLike | None = None,
        *,
        groups: Sequence[Any] | Mapping[str, Sequence[Any]] | None = None,
        loss: str | Loss | None = None,
        n_repeats: int = 10,
        random_state: int | np.random.Generator | None = 0,
    ) -> Importance:
        """Which inputs the model needs, by five measures side by side.

        All are in standard deviations, of the inputs in U and of the predictions there, so that units do not matter:
        the certified sensitivity, for inputs anywhere; the mean absolute derivative at the samples; the loss of score
        when an input's values are shuffled among the samples; and the lengths of the columns of B and D. With several
        outputs, means are taken.

        Parameters
        ----------
        U : array-like of shape (m, p)
            At least two samples, preferably ones that the model was not trained on.
        Y : array-like of shape (m, q), or (m,) classes, optional
            Targets for the score that measures shuffles; columns of a data frame are matched by name. For the links
            "logit" and "softmax" they may be classes, by number from 0 or by name of output. If absent, the predictions
            themselves are the targets: the score is how far shuffles move them, as a share of their variance.
        groups : sequence of p labels, or mapping from a group's name to its inputs' names, optional
            Inputs that belong together are measured, and shuffled, together.
        loss : str or Loss, optional
            The loss for the score (R2 or D2). The default follows ``link``: "squared" for "identity".
        n_repeats : int
            Number of shuffles of each input; the result is their mean.
        random_state : int, Generator or None
            Seed of the shuffles.

        Returns
        -------
        Importance
            ``table``: a row for each input, with measures and ranks; ``ranks`` has only the ranks.

        Raises
        ------
        InvalidInputError
            Samples, targets or groups that do not fit, or another loss.
        NotWellPosedError
            The model has no certified equilibrium.

        Warns
        -----
        DataWarning
            Targets do not vary: there is no score to lose.
        """
        inputs = inputs_of(self, U)
        if len(inputs) < 2:
            raise InvalidInputError("U", "has 1 sample, at least 2 needed", "Pass samples that vary")
        known = Groups.parse(groups, None, self.input_names)
        scored = get_loss(BY_LINK[self.link] if loss is None else loss)
        if scored.link != self.link:
            cause = (
                f"{scored.name!r} is for predictions on the scale {scored.link!r}, but the model is on {self.link!r}"
            )
            raise InvalidInputError("loss", cause, "Leave it out")
        n_repeats = check_number("n_repeats", n_repeats, 1, integer=True, remedy="Give 1 or more")
        rng = random_generator(random_state)
        targets = None if Y is None else self._targets(Y, len(inputs), scored)
        # A class that samples lack is a constant column, and no fault.
        if targets is not None and (targets == targets[:1]).all():
            warn_if_constant(targets.T, self.output_names)
        with finishing():
            return measured(self, inputs, targets, scored, known, n_repeats, rng)

    def _targets(self, Y: ArrayLike, m: int, loss: Loss) -> np.ndarray:
        """Targets (m, q), of classes a column of 0 and 1 for each output."""
        q, given = len(self.d), as_pandas_or_array("Y", Y)
        if self.link in ("logit", "softmax") and given.ndim == 1 and (q == 1 or self.link == "softmax"):
            classes = classes_of(given, self.output_names, m, "Y")
            return (classes[:, None] == (np.arange(q) if q > 1 else 1)).astype(float)
        targets = targets_of("Y", given, self.output_names)
        check_as_many("Y", len(targets), m, "U")
        loss.check_targets(targets.T, self.output_names, "Y")
        return targets


def as_rows(U: Any, argument: str = "U") -> Any:
    """Samples as rows, of which one may be given as a vector."""
    given = as_pandas_or_array(argument, U)
    if given.ndim != 1:
        return given
    return given.to_frame().T if isinstance(given, pd.Series) else given[None]

"""What the estimators share: standardised samples, checks of parameters, training on numeric targets.

Inputs, and targets that may be any numbers, are standardised, so that the same regularisation suits many data sets,
and models come back in the data's own units. Equal samples are merged into one that weighs more, and sorted: a weight
of 2 is the same as a sample twice, to the last bit, and the order of the samples does not matter.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from bcd_implicit.constraints.checks import Constraints
from bcd_implicit.errors import ConvergenceWarning, InvalidInputError, see, shown
from bcd_implicit.estimators.data import read_new_inputs
from bcd_implicit.model.explanations import Explanation, Importance
from bcd_implicit.model.explanations.explanations import as_rows
from bcd_implicit.model.standardization import Standardization
from bcd_implicit.problem import statistics
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.selection.refits import Refit, cross_validate, has_faded
from bcd_implicit.support.arrays import Samples
from bcd_implicit.support.checks import check_flag, check_list, check_number
from bcd_implicit.support.interruption import Stop, check_max_seconds, finishing, stoppable
from bcd_implicit.support.log import logger
from bcd_implicit.support.notices import collected, warn_convergence
from bcd_implicit.support.parallel import in_parallel
from bcd_implicit.support.parts import parts
from bcd_implicit.support.progress import Progress, between, show_progress
from bcd_implicit.support.samples import check_sample_weight
from bcd_implicit.support.storing import KeepsFunctions
from bcd_implicit.terms.activations import Activation
from bcd_implicit.terms.loss import Loss
from bcd_implicit.training.bcd import check_loop, solve

# What cross-validation chooses from.
ALPHAS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
CV_OPTIONS = {"method": "prox-linear", "max_cycles": 100, "tol": 3e-2, "block_tol": None}
# The share of the time that it may take.
CV_SHARE = 0.7
# Several starts are compared at a tolerance so much coarser; the best is trained on.
COARSER = 10


def _called(function: Callable[[], Any]) -> Any:
    return function()


class StandardisedSamples(NamedTuple):
    """Standardised samples, each once, with their weights, and the way back to their units."""

    U: np.ndarray
    Y: np.ndarray
    weight: np.ndarray
    scaling: Standardization

    @classmethod
    def merge(
        cls,
        X: np.ndarray,
        Y: np.ndarray,
        sample_weight: ArrayLike | None,
        with_mean: bool = True,
        loss: Loss | None = None,
    ) -> StandardisedSamples:
        """Of X (m, p), Y (m, q) and weights; divided by the spreads only unless ``with_mean``.

        Targets as the loss has it, as in :meth:`bcd_implicit.model.standardization.Standardization.fit`.
        """
        weight = check_sample_weight(sample_weight, len(X))
        rows = np.column_stack([X, Y]).astype(float)[weight > 0]
        rows, place = np.unique(rows, axis=0, return_inverse=True)
        weight = np.bincount(place.ravel(), weight[weight > 0])
        if len(rows) == 1:  # a problem has two samples at least
            rows, weight = np.repeat(rows, 2, axis=0), np.repeat(weight, 2)
        weight /= weight.max()  # so that only ratios matter, to the last bit
        U, Y = rows[:, : X.shape[1]], rows[:, X.shape[1] :]
        scaling = Standardization.fit(U, Y, weight, with_mean, loss)
        return cls(*scaling.apply(U, Y), weight, scaling)


def seed_of(random_state: int | np.random.RandomState | None) -> int:
    """A seed from a number, a RandomState or None."""
    try:
        return int(check_random_state(random_state).randint(2**31 - 1))
    except ValueError:
        cause = f"got {shown(random_state)}"
        raise InvalidInputError(
            "random_state", cause, "Give a whole number of 0 or more, a RandomState or None"
        ) from None


class TrainedEstimator(KeepsFunctions, BaseEstimator):
    """Shared by the regressor and the classifier: parameters, and training on numeric targets."""

    def __init__(
        self,
        n_hidden: int = 10,
        *,
        activation: str | Activation = "relu",
        alpha: float | Sequence[float] = ALPHAS,
        kappa: float = 0.0,
        norm_bound: float = 0.5,
        well_posedness: str = "inf-norm",
        fenchel_weight: float | ArrayLike = 1.0,
        fit_intercept: bool = True,
        pass_through: bool = True,
        constraints: Constraints = (),
        pattern: Any = None,
        method: str = "prox-linear",
        solver: str = "auto",
        max_cycles: int = 200,
        tol: float = 1e-4,
        n_folds: int = 5,
        n_init: int = 3,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = 0,
        n_jobs: int | None = None,
        verbose: bool | int | Progress = False,
        max_seconds: float | None = None,
    ) -> None:
        self.n_hidden = n_hidden
        self.activation = activation
        self.alpha = alpha
        self.kappa = kappa
        self.norm_bound = norm_bound
        self.well_posedness = well_posedness
        self.fenchel_weight = fenchel_weight
        self.fit_intercept = fit_intercept
        self.pass_through = pass_through
        self.constraints = constraints
        self.pattern = pattern
        self.method = method
        self.solver = solver
        self.max_cycles = max_cycles
        self.tol = tol
        self.n_folds = n_folds
        self.n_init = n_init
        self.warm_start = warm_start
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.max_seconds = max_seconds

    def _train(
        self,
        inputs: Samples,
        Y: np.ndarray,
        sample_weight: ArrayLike | None,
        output_names: Sequence[str] | None,
        loss: Loss,
        is_vector: bool = False,
    ) -> None:
        """Train on numeric targets of shape (m, q); those of a vector are one column."""
        method, solver, max_cycles, tol = check_loop(self.method, self.solver, self.max_cycles, self.tol)
        alphas = self._alphas()
        n_folds = check_number("n_folds", self.n_folds, 2, integer=True, remedy="Give 2 or more folds")
        n_init = check_number("n_init", self.n_init, 1, integer=True, remedy="Give 1 or more random starts")
        fit_intercept = check_flag("fit_intercept", self.fit_intercept)
        samples = StandardisedSamples.merge(inputs.values, Y, sample_weight, fit_intercept, loss)
        seed = seed_of(self.random_state)
        problem = TrainingProblem(
            samples.U,
            samples.Y[:, 0] if is_vector else samples.Y,
            self.n_hidden,
            activation=self.activation,
            loss=loss,
            norm_bound=self.norm_bound,
            well_posedness=self.well_posedness,
            kappa=self.kappa,
            fenchel_weight=self.fenchel_weight,
            fit_intercept=self.fit_intercept,
            pass_through=self.pass_through,
            constraints=self.constraints,
            pattern=self.pattern,
            input_names=inputs.names,
            output_names=output_names,
            sample_weight=samples.weight,
            standardize=False,
        )
        seconds, middle = check_max_seconds(self.max_seconds), ""
        with stoppable(seconds) as limits, show_progress(self.verbose, "fit", "verbose") as tell:
            try:
                # Whatever alpha is, training needs time too.
                with stoppable(seconds and CV_SHARE * seconds):
                    self.alpha_ = self._chosen_alpha(problem, alphas, n_folds, seed, between(tell, 0.0, 0.7))
            except Stop:
                self.alpha_ = alphas[len(alphas) // 2]
                middle = f"there was no time to choose alpha, so the middle one ({self.alpha_:g}) was used"
            logger.info("fit: alpha %.3g", self.alpha_)
            problem = problem.replace(ridge=self.alpha_, ridge_hidden=self.alpha_)
            start = self._warm_start(problem, seed)
            starts = [problem.initial(seed + i) for i in range(n_init)] if start is None else [start]
            told, share = between(tell, 0.7 if self.cv_errors_ else 0.0, 1.0), 0.0
            run = partial(solve, problem, method, solver, max_cycles)
            if len(starts) > 1:
                share = 0.6
                rough = partial(run, COARSER * tol, block_tol=None)
                fits = [(partial(rough, start=it),) for it in starts]
                # What they warn of does not matter.
                with suppress(Stop), collected():
                    ends = in_parallel(_called, fits, self.n_jobs, between(told, 0.0, share, "start"))
                    starts = [min(ends, key=lambda end: end.objective).iterate]
            with collected() as messages:
                self.result_ = run(tol, start=starts[0], progress=between(told, share, 1.0))
        end = self.result_
        logger.info("fit: %s; %d cycles, objective %.6g", end.status.cause, end.n_cycles, end.objective)
        if self.result_.status.cut_short:
            ended = f"{self.result_.status.cause}; the last training took {self.result_.n_cycles} cycles"
            messages = [f"fit: {'; '.join(filter(None, [ended, middle]))}."] if limits.outermost else []
        elif middle:
            messages.append(f"fit: {middle}. Raise max_seconds.")
        for message in messages:
            warn_convergence(message, stacklevel=3)
        if self._is_linear(problem, seed):
            causes = [f"kappa={problem.kappa:g}"] if problem.kappa > 0 else []
            causes += [f"alpha={self.alpha_:g}"] if problem.constraints or not causes else []
            causes += ["these constraints"] if problem.constraints else []
            warnings.warn(
                f"B = 0 at {' and '.join(causes)}: no input reaches the state, and the model is linear. Choose a "
                f"smaller {'kappa' if problem.kappa > 0 else 'alpha'}, another random_state or more starts (n_init). "
                f"{see('nothing-is-selected')}",
                ConvergenceWarning,
                stacklevel=3,
            )
        self.n_iter_ = self.result_.n_cycles
        self.model_ = samples.scaling.raw_model(self.result_.model)

    def _is_linear(self, problem: TrainingProblem, seed: int) -> bool:
        """Whether kappa, alpha or constraints, and neither data that do not vary nor cross-validation, emptied B."""
        it, chosen = self.result_.iterate, self.cv_errors_ is not None and not problem.constraints
        if not problem.Y.any() or not problem.U.any() or (chosen and problem.kappa == 0):
            return False
        # A kappa makes exact zeros, a ridge numbers next to zero.
        return not it.B.any() or has_faded(problem, it, problem.initial(seed))

    def _alphas(self) -> list[float]:
        """What alpha may be, upwards."""
        remedy = "Choose 0 or more, or a list to choose from"
        alpha: Any = self.alpha
        if getattr(alpha, "ndim", 1) == 0:
            alpha = alpha.item()
        listed = [alpha] if isinstance(alpha, (Real, str)) else check_list("alpha", alpha, "numbers", remedy)
        if not listed:
            raise InvalidInputError("alpha", "is empty", "Give a number, or a list to choose from")
        return sorted(check_number("alpha", alpha, 0, remedy=remedy) for alpha in listed)

    def _chosen_alpha(
        self, problem: TrainingProblem, alphas: list[float], n_folds: int, seed: int, on_progress: Progress
    ) -> float:
        self.cv_errors_ = None
        n_folds = min(n_folds, problem.n_samples // 2)
        if len(alphas) == 1 or n_folds < 2:  # three samples cannot be divided: the strongest is the safe one
            return alphas[-1]
        everything = np.ones(problem.n_inputs, dtype=bool)
        # Upwards, as on a path of kappa: a large ridge empties B and C, and the state would be lost to all that follow.
        chain = [Refit(everything, problem.n_hidden, alpha, alpha) for alpha in alphas]
        options = CV_OPTIONS | {"solver": self.solver}
        errors = cross_validate(problem, chain, n_folds, seed, options, self.n_jobs, between(on_progress, 0, 1, "fold"))
        means = statistics.mean(errors, problem.shares)
        self.cv_errors_ = dict(zip(alphas, means, strict=True))
        return alphas[np.flatnonzero(statistics.near_least(errors, problem.shares))[-1]]

    def _warm_start(self, problem: TrainingProblem, seed: int) -> Iterate | None:
        """Where the last fit ended, if it was of the same kind and its inputs reached the state."""
        if not check_flag("warm_start", self.warm_start) or not hasattr(self, "result_"):
            return None
        it, fresh = self.result_.iterate, problem.shapes
        if any(getattr(it, letter).shape != fresh[letter] for letter in "ABCD"):
            return None
        last = self.result_.problem
        if last.fit_intercept != problem.fit_intercept:  # other data: centred or not
            return None
        if last.loss.link != problem.loss.link:  # other predictions
            return None
        if has_faded(problem, it, problem.initial(seed)):
            return None
        with finishing():  # training that has to end at once still needs a start
            return problem.at_equilibrium(it.replace(X=np.zeros(fresh["X"])))

    @property
    def feature_importances_(self) -> np.ndarray:
        """How much the outputs move with each input, shape (n_features,): for SelectFromModel and RFE.

        The root mean square, over samples and outputs, of the derivative of a prediction with respect to the input,
        both in standard deviations (:meth:`~bcd_implicit.model.derivatives.Derivatives.jacobian`). For classes and
        rates, predictions are taken on the log scale.
        """
        check_is_fitted(self, "model_")
        problem, model = self.result_.problem, self.result_.model
        squares = np.zeros(problem.n_inputs)
        for part in parts(problem.n_samples, problem.n_outputs * problem.n_inputs + problem.n_hidden**2):
            slopes = model.jacobian(problem.U.T[part])
            squares += np.einsum("kqp,kqp,k->p", slopes, slopes, problem.shares[part])
        return np.sqrt(squares / problem.n_outputs)

    def explain(
        self,
        X: ArrayLike,
        radius: ArrayLike,
        *,
        groups: Sequence[Any] | Mapping[str, Sequence[Any]] | None = None,
        about: str | None = None,
        outputs: Sequence[str | int] | None = None,
        method: str = "backward",
        rounds: int | None = None,
        n_cuts: int | None = None,
    ) -> Explanation:
        """Which single inputs could have changed predictions, and by how much: bounds and attacks.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or (n_features,)
            A few samples, or one; a row of a data frame keeps its names.
        radius : float, or array-like of shape (n_features,) or (n_samples, n_features)
            How far each input may move, in the units of X: ``0.1 * X_train.std()``, for example.
        about : {"values", "class", "labels"}, optional
            What to explain. For a classifier the default is the class, or each of several labels; otherwise the values.
        groups, outputs, method, rounds, n_cuts
            As for :meth:`~bcd_implicit.model.explanations.explanations.Explanations.explain`.

        Returns
        -------
        Explanation
            It explains the output of ``model_``: values, logarithms of rates, or the margin of the predicted class.
        """
        check_is_fitted(self, "model_")
        inputs, about = self._new_inputs(as_rows(X, "X")), self._explained() if about is None else about
        options: dict[str, Any] = {"method": method, "rounds": rounds, "n_cuts": n_cuts}
        return self.model_.explain(inputs, radius, groups=groups, about=about, outputs=outputs, **options)

    def importance(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        groups: Sequence[Any] | Mapping[str, Sequence[Any]] | None = None,
        n_repeats: int = 10,
        random_state: int | np.random.Generator | None = 0,
    ) -> Importance:
        """Which inputs the model needs, by five measures side by side, all in standard deviations.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples, preferably ones that the model was not trained on.
        y : array-like, optional
            Targets or labels, as for ``fit``. If absent, shuffles are measured by how far they move predictions.
        groups, n_repeats, random_state
            As for :meth:`~bcd_implicit.model.explanations.explanations.Explanations.importance`.

        Returns
        -------
        Importance
        """
        inputs, loss = self._new_inputs(X), self.result_.problem.loss
        targets = None if y is None else self._new_targets(y, len(inputs))
        # In the targets' own units a Huber loss has another threshold; scores are R2 there too.
        scored = "squared" if loss.name == "huber" else loss
        return self.model_.importance(
            inputs, targets, groups=groups, loss=scored, n_repeats=n_repeats, random_state=random_state
        )

    def _explained(self) -> str | None:
        """What explanations are about; None for what the link says."""
        return None

    def _new_targets(self, y: ArrayLike, n_samples: int) -> np.ndarray:
        """Targets like those of the fit as numbers, (n_samples, q)."""
        raise NotImplementedError

    def _new_inputs(self, X: ArrayLike) -> np.ndarray:
        check_is_fitted(self, "model_")
        return np.asarray(read_new_inputs(self, X))

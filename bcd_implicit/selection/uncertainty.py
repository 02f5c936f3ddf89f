"""How sure a selection is: how often halves of the samples choose each input, and intervals from bootstrap refits."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.problem import statistics
from bcd_implicit.selection.adjustment import polish
from bcd_implicit.selection.evidence import Evidence, Settings
from bcd_implicit.selection.path_record import PathRecord
from bcd_implicit.selection.refits import Refit, run_refit, sample_errors
from bcd_implicit.selection.rules import RULES
from bcd_implicit.selection.sample_groups import halves
from bcd_implicit.selection.selection_record import SelectionRecord
from bcd_implicit.selection.walk import Wanted, walk
from bcd_implicit.support.checks import check_number, random_generator
from bcd_implicit.support.display import facts_and_table
from bcd_implicit.support.interruption import Stop, stoppable
from bcd_implicit.support.notices import collected
from bcd_implicit.support.parallel import check_jobs, in_parallel
from bcd_implicit.support.parts import parts
from bcd_implicit.support.progress import Progress, between, show_progress
from bcd_implicit.training.result import Status

# Fewer refits have no percentiles.
LEAST_REFITS = 20
# Of the tolerance of fits in cross-validation: refits are compared with each other.
FINER = 1 / 50


@dataclass(frozen=True, repr=False)
class Uncertainty:
    """How sure a selection is.

    Attributes
    ----------
    frequencies : DataFrame
        One row per input, or group: input, inputs (those of the group), selected, frequency (the share of the halves of
        the samples on which the same rule and score tests, along a path of their own, select it; NaN without halves).
    effects : DataFrame
        A row a selected input and output: input, output, effect (the mean slope of the prediction in the input, of the
        selection's model, in the units of the problem's data), low and high (percentiles of the same in bootstrap
        refits on the selected inputs).
    score : Series
        estimate (the mean over the refits, on the samples that they have not seen), low and high. R2 for the squared
        loss, mean over the outputs; else D2, the share of the best constant's loss that is explained.
    confidence : float
        Of the intervals, such as 0.95.
    n_halves, n_refits : int
        The number that was done.
    status : Status or None
        INTERRUPTED or TIME_LIMIT where that ended it early: there are fewer halves or refits then.
    """

    frequencies: pd.DataFrame
    effects: pd.DataFrame
    score: pd.Series
    confidence: float
    n_halves: int
    n_refits: int
    status: Status | None = None

    @property
    def table(self) -> pd.DataFrame:
        """Frequencies beside effects: one row per input where there is one output, else an input and output.

        Of a group each input has a row.
        """
        by_input = self.frequencies.drop(columns="input").explode("inputs").rename(columns={"inputs": "input"})
        return by_input.merge(self.effects, how="left", on="input")

    def _sentences(self) -> dict[str, str]:
        ended = {} if self.status is None else {"cut short": self.status.cause}
        low, high = self.score["low"], self.score["high"]
        score = f"{self.score['estimate']:.3f}, {self.confidence:.0%} of refits from {low:.3f} to {high:.3f}"
        return ended | {
            "frequency": f"share of {self.n_halves} halves of the samples that select the input",
            "effect": f"mean slope; low and high hold {self.confidence:.0%} of {self.n_refits} bootstrap refits",
            "score on samples not seen": score if self.n_refits else "no refits",
        }

    def __repr__(self) -> str:
        facts = "\n".join(f"{name}: {fact}" for name, fact in self._sentences().items())
        return f"{facts}\n{self.table.to_string(index=False, float_format='{:.3g}'.format, na_rep='-')}"

    def _repr_html_(self) -> str:
        return facts_and_table("Uncertainty", self._sentences(), self.table)


def uncertainty(
    selection: SelectionRecord,
    n_halves: int,
    n_refits: int,
    confidence: float,
    random_state: int | np.random.Generator | None,
    *,
    n_jobs: int | None,
    progress: bool | Progress,
    max_seconds: float | None,
) -> Uncertainty:
    """Resample; the arguments are those of :meth:`bcd_implicit.Selection.uncertainty`."""
    n_halves = check_number("n_halves", n_halves, 0, integer=True, remedy="Give 0 for none, or 2 or more")
    n_refits = check_number("n_refits", n_refits, 0, integer=True, remedy=f"Give 0 for none, or {LEAST_REFITS} or more")
    if n_halves == 1 or 0 < n_refits < LEAST_REFITS or not n_halves + n_refits:
        name, number, least = ("n_halves", n_halves, 2) if n_halves == 1 else ("n_refits", n_refits, LEAST_REFITS)
        raise InvalidInputError(name, f"{number} say nothing", f"Give {least} or more")
    confidence = check_number("confidence", confidence, 0, 1, boundaries="neither", remedy="Such as 0.95")
    check_jobs(n_jobs)
    evidence, problem, rng = selection.evidence, selection.evidence.path.problem, random_generator(random_state)
    m, together = problem.n_samples, evidence.settings.sample_groups
    pairs = [half for _ in range(-(-n_halves // 2)) for half in halves(m, rng, together)][:n_halves]
    counts = [_drawn(m, rng, together) for _ in range(n_refits)]
    # Drawn before the work is spread, so that the number of jobs plays no part.
    seeds = rng.integers(2**31, size=n_halves + n_refits)
    by_half = [(selection, half, int(seed)) for half, seed in zip(pairs, seeds, strict=False)]
    by_count = [(selection, count, int(seed)) for count, seed in zip(counts, seeds[n_halves:], strict=True)]
    supports: list[np.ndarray] = []
    refits: list[tuple[np.ndarray, float]] = []
    ended, share = None, n_halves / (n_halves + n_refits)
    with stoppable(max_seconds), show_progress(progress, "uncertainty") as tell:
        try:
            # One by one: what is done by then is kept where it is cut short.
            for support in in_parallel(_selected_on, by_half, n_jobs, between(tell, 0.0, share, "halves")):
                supports.append(support)
            for refit in in_parallel(_refitted_on, by_count, n_jobs, between(tell, share, 1.0, "refits")):
                refits.append(refit)
        except Stop as stop:
            ended = Status[stop.status]
            # Nothing to return: as for any other call that has no result.
            if len(supports) < 2 and len(refits) < LEAST_REFITS:
                raise
    return Uncertainty(
        _frequencies(selection, supports),
        _effects(selection, [effects for effects, _ in refits], confidence),
        _interval(np.array([score for _, score in refits]), confidence),
        confidence,
        len(supports),
        len(refits),
        ended,
    )


def _drawn(m: int, rng: np.random.Generator, together: np.ndarray | None) -> np.ndarray:
    """How often each sample is drawn, with replacement, of m; groups are drawn whole. Shape (m,)."""
    units = np.arange(m) if together is None else together
    n = int(units.max()) + 1
    return np.bincount(rng.integers(n, size=n), minlength=n)[units]


def _selected_on(selection: SelectionRecord, half: np.ndarray, seed: int) -> np.ndarray:
    """The inputs that the same path, rule and score tests select on some of the samples: bool, (p,)."""
    evidence, rule = selection.evidence, selection.rule
    path, settings = evidence.path, evidence.settings
    smaller = path.problem.subset(half)
    n_wanted = int(selection.support.sum()) if rule == "n_features" else None
    with collected(), warnings.catch_warnings():
        # Of the halves' own paths and tests: a person was told of the whole's.
        warnings.simplefilter("ignore", UserWarning)
        options = path.solve_options | {"block_tol": None}
        wanted = Wanted(max_features=path.max_features)
        results = walk(smaller, path.kappas, smaller.initial(seed), options, wanted=wanted)
        record = PathRecord(smaller, results, path.solve_options, path.max_features)
        if n_wanted is not None:
            return record.longest(n_wanted) if record.ever_in.any() and n_wanted else np.zeros_like(selection.support)
        own = replace(_settings_on(settings, half, seed), ridges=[selection.result.problem.ridge_hidden])
        known = Evidence(record, own)
        support = RULES[rule](known).support
        return support if selection.level is None else polish(known, support, selection.level)[0]


def _settings_on(settings: Settings, half: np.ndarray, seed: int) -> Settings:
    together = settings.sample_groups
    if together is not None:
        # From 0 on again.
        together = np.unique(together[half], return_inverse=True)[1]
    n_units = len(half) if together is None else int(together.max()) + 1
    n_folds = max(2, min(settings.n_folds, n_units if together is not None else n_units // 2))
    return replace(settings, sample_groups=together, random_state=seed, n_folds=n_folds, n_jobs=None)


def _refitted_on(selection: SelectionRecord, counts: np.ndarray, seed: int) -> tuple[np.ndarray, float]:
    """Effects, (q, p), of a refit from a start of its own on samples drawn so often, and its score on the others."""
    problem, final, settings = selection.evidence.path.problem, selection.result.problem, selection.evidence.settings
    drawn, rest = problem.subset(np.repeat(np.arange(len(counts)), counts)), np.flatnonzero(counts == 0)
    what = Refit(selection.support, final.n_hidden, final.ridge_hidden)
    options = settings.options | {
        "tol": FINER * settings.options["tol"],
        "max_cycles": 6 * settings.options["max_cycles"],
    }
    fresh = drawn.replace(n_hidden=final.n_hidden).initial(seed)
    with collected():
        result = run_refit(drawn, what, fresh, seed, options)
    if result is None:
        return np.zeros((problem.n_outputs, problem.n_inputs)), 0.0
    kept, effects = selection.support, np.zeros((problem.n_outputs, problem.n_inputs))
    effects[:, kept] = mean_slopes(result.model, problem.samples[0][:, kept], problem.shares)
    if not len(rest):
        return effects, np.nan
    unseen = problem.subset(rest)
    # Errors are in shares of the problem's own targets, which may be standardised.
    fitted = result.problem.model_of_columns(result.iterate)
    errors = sample_errors(problem, fitted.outputs(unseen.U[kept].T).T, unseen.Y)
    return effects, 1 - float(statistics.mean(errors, unseen.shares))


def mean_slopes(model: ImplicitModel, U: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The weighted mean over samples U (m, p) of the slopes of each prediction in each input, (q, p)."""
    found = np.zeros(model.D.shape)
    for part in parts(len(U), found.size + model.n_hidden**2):
        found += np.einsum("kqp,k->qp", model.jacobian(U[part]), shares[part])
    return found


def _frequencies(selection: SelectionRecord, supports: list[np.ndarray]) -> pd.DataFrame:
    """A row a group, in the order of the path and the selected first."""
    problem = selection.evidence.path.problem
    groups, order = problem.group_lasso.groups, selection.evidence.path.order()[0]
    share = np.mean(supports, axis=0) if supports else np.full(len(selection.support), np.nan)
    first = [groups.members[g][0] for g in dict.fromkeys(groups.labels[order].tolist())]
    first.sort(key=lambda j: (not selection.support[j], -share[j] if supports else 0.0))
    titles = groups.titles(problem.input_names)
    rows = [
        {
            "input": titles[groups.labels[j]],
            "inputs": [problem.input_names[i] for i in groups.members[groups.labels[j]]],
            "selected": bool(selection.support[j]),
            "frequency": float(share[j]),
        }
        for j in first
    ]
    return pd.DataFrame(rows)


def _effects(selection: SelectionRecord, effects: list[np.ndarray], confidence: float) -> pd.DataFrame:
    problem, kept = selection.evidence.path.problem, np.flatnonzero(selection.support)
    estimate = mean_slopes(selection.model, problem.samples[0], problem.shares)
    low, high = _percentiles(np.array(effects), confidence) if effects else (np.full_like(estimate, np.nan),) * 2
    rows = [
        (problem.input_names[j], problem.output_names[i], estimate[i, j], low[i, j], high[i, j])
        for j in kept
        for i in range(problem.n_outputs)
    ]
    return pd.DataFrame(rows, columns=["input", "output", "effect", "low", "high"])


def _percentiles(values: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.nanquantile(values, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return low, high


def _interval(scores: np.ndarray, confidence: float) -> pd.Series:
    if not np.isfinite(scores).any():
        return pd.Series({"estimate": np.nan, "low": np.nan, "high": np.nan})
    low, high = _percentiles(scores, confidence)
    return pd.Series({"estimate": float(np.nanmean(scores)), "low": float(low), "high": float(high)})

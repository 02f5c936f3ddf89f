"""The support that was chosen from a path: why it was chosen, how sure that is, and the model on it."""

from __future__ import annotations

from dataclasses import dataclass

from bcd_implicit.selection import explanation
from bcd_implicit.selection.selection_record import SelectionRecord
from bcd_implicit.selection.uncertainty import Uncertainty, uncertainty
from bcd_implicit.support.display import facts_table, listed, names_of
from bcd_implicit.support.progress import Progress
from bcd_implicit.support.reasons import Reasons
from bcd_implicit.training.result import Status


@dataclass(frozen=True, repr=False)
class Selection(SelectionRecord):
    """The support chosen from a path.

    Attributes
    ----------
    support : ndarray of bool, shape (p,)
        The inputs kept.
    kappa : float
        The first kappa of the path with this support, or with the nearest support if none has exactly this one: see
        ``on_path``. If score tests changed the rule's choice, the rule's kappa is ``chosen_kappa``.
    index : int
        Its index on the path.
    result : BcdResult
        The refit on the support alone, without group lasso, on all samples; for an empty support the best constant.
    table : DataFrame
        One row per candidate: kappa, n_selected, the rule's criterion, chosen (before the score tests), inputs. Rules
        by cross-validation have the error and its standard error, and the excess over the best error with its standard
        error.
    rule : str
        The name of the rule, or "n_features" if their number was given.
    input_names : list of str
    tests : DataFrame or None
        The score tests, a row each: inputs (names; a group is tested as one), asked ("enter" next to the support, or
        "stay" next to the others of it), p_value (family-wise; compare it with ``level``, or with a fifth of it to
        enter) and by ("formula", or "permutation" if the formula is doubtful or samples belong together). For inputs
        that were tested several times, the last test. None if there were no tests.
    before_tests : ndarray of bool, shape (p,)
        The inputs that the rule chose.
    level : float or None
        Level of the score tests.
    evidence : Evidence
        The path, how the choice was made, and what it was made from.
    """

    @property
    def how(self) -> str:
        """A text: which inputs the rule chose at which kappa, and what the score tests changed, with p-values."""
        return explanation.in_words(self)

    def explain(
        self,
        costs: bool | str = False,
        *,
        n_jobs: int | None = None,
        progress: bool | int | Progress = False,
        max_seconds: float | None = None,
    ) -> Reasons:
        """Why each input was kept or dropped, one line each.

        Each line says up to which kappa of the path the input is in, the p-value of its last score test, and on request
        what dropping it costs. Print the result to read the text; ``.table`` has the numbers.

        Parameters
        ----------
        costs : bool or "all"
            True: refit without each selected input, and with each one that the score tests dropped, in the folds of the
            cross-validation, and say by how much the loss on held-out samples grows or falls. It takes about as long as
            the score tests. The inputs were chosen with the help of these samples, so costs are a little too high.
            "all": with every other input too.
        n_jobs, progress, max_seconds
            For these refits, as in :meth:`bcd_implicit.PathResult.select`. If time or Ctrl-C ends them, the costs found
            so far are reported.

        Returns
        -------
        Reasons
            With a ``table``: input, outcome, why, inputs, selected, by_rule (whether the rule chose it), penalised,
            ever_in (at some kappa of the path), dropped_at (kappa), p_value, p_value_by; with costs also cost (the
            growth of the mean held-out loss without the input, in shares of the best constant's loss), its
            standard_error, error_with and error_without.

        Raises
        ------
        InvalidInputError
            An invalid value of ``costs``.
        """
        return explanation.explain(self, costs, n_jobs=n_jobs, progress=progress, max_seconds=max_seconds)

    def uncertainty(
        self,
        n_halves: int = 20,
        n_refits: int = 100,
        *,
        confidence: float = 0.95,
        random_state: int | None = 0,
        n_jobs: int | None = None,
        progress: bool | Progress = False,
        max_seconds: float | None = None,
    ) -> Uncertainty:
        """How stable the selection is: how often halves of the samples repeat it, and bootstrap intervals.

        Frequencies: on each of ``n_halves`` random halves of the samples, in complementary pairs (Shah and Samworth
        2013), inputs are selected again, with the same kappas, rule and score tests. With half the samples fewer inputs
        stand out, so the frequencies tend to be too low.

        Intervals: the selected inputs are refitted on ``n_refits`` bootstrap samples (Efron 1979), each from its own
        start, with the ridge and the hidden features of the final refit. The effect of an input is the mean slope of
        the prediction in it; an input whose effect changes its sign among the samples may have a mean slope near zero.
        The intervals treat the selected inputs as known beforehand: they do not account for the selection. They show
        how far refits differ and are not confidence intervals: in a simulation, those of effects contained the truth
        less often than they should (``docs/selection.md`` has the figure).

        If the selection had groups of samples, groups are never split.

        Parameters
        ----------
        n_halves : int
            0 for no frequencies. Each takes about as long as path and selection do.
        n_refits : int
            0 for no intervals, or 2 or more; a warning says that fewer than 20 are too few. Each takes about as long as
            the final refit.
        confidence : float
            The central share of refits inside the intervals.
        random_state : int, Generator or None
            Seed of the halves, the bootstrap samples and the starts.
        n_jobs : int, optional
            As in joblib. The answer does not depend on it.
        progress, max_seconds
            As in :func:`bcd_implicit.solve`. If time or Ctrl-C ends it, the result covers the work done so far: the
            refits come first, and the halves after all of them.

        Returns
        -------
        Uncertainty

        Raises
        ------
        InvalidInputError
            A number is out of range.
        NothingYetError
            ``max_seconds`` passed before two refits were done (two halves, if there are no refits).

        Warns
        -----
        UserWarning
            Fewer than 20 refits were asked for, or done in the time.
        """
        return uncertainty(
            self,
            n_halves,
            n_refits,
            confidence,
            random_state,
            n_jobs=n_jobs,
            progress=progress,
            max_seconds=max_seconds,
        )

    def __repr__(self) -> str:
        size = f"{int(self.support.sum())} of {len(self.support)} inputs"
        ended = f" {self.status.cause.capitalize()}." if self.status.cut_short else ""
        return f"Selection({size}: {listed(self.names) or 'none'}. {self.how}{ended})"

    def _repr_html_(self) -> str:
        refit = self.result
        ended = {"cut short": f"{self.status.cause}; this is what was decided by then"} if self.status.cut_short else {}
        facts = {
            "inputs selected": names_of(self.input_names, self.support),
            "rule": self.rule,
            **ended,
            "how": self.how,
            "kappa" if self.on_path else "kappa nearest to it on the path": f"{self.kappa:.4g}",
            "refit": f"{refit.problem.n_hidden} hidden features, {refit.problem.activation.name}",
            "its status": self.status.value,
            "its objective": f"{refit.objective:.6g}",
        }
        return facts_table("Selection", facts)


def what_is_there(n_kappas: int, path_ended: Status | None, choice: Status) -> str:
    """In words how far a path and the choice from it came."""
    path = f"the path ends after {n_kappas} kappa{'' if n_kappas == 1 else 's'}" if path_ended else "the path is whole"
    return f"{path}, the choice from it {'was cut short' if choice.cut_short else 'is complete'}"

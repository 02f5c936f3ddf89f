"""Why an input was selected or not: in words, from the path, the rule, the score tests and refits without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from bcd_implicit.errors import BlockSolveError, InvalidInputError, shown
from bcd_implicit.problem import statistics
from bcd_implicit.problem.spreads import STANDARDISED
from bcd_implicit.selection.evidence import Evidence
from bcd_implicit.selection.selection_record import SelectionRecord
from bcd_implicit.selection.unseen import UnseenSamples
from bcd_implicit.support.display import listed
from bcd_implicit.support.interruption import Stop, check_stop, stoppable
from bcd_implicit.support.parallel import check_jobs
from bcd_implicit.support.progress import Progress, show_progress
from bcd_implicit.support.reasons import DROPPED, Reasons

#: What chose, by rule.
WHO = {
    "min": "Cross-validation",
    "paired-one-se": "Cross-validation (paired-one-se)",
    "one-se": "Cross-validation (one-se)",
    "bic": "The criterion BIC",
    "ebic": "The criterion EBIC",
}
ALL = "all"
# Why an input stays that failed its test.
WORSE = "held-out samples are predicted worse without"


def explain(
    selection: SelectionRecord,
    costs: bool | str,
    *,
    n_jobs: int | None,
    progress: bool | int | Progress,
    max_seconds: float | None,
) -> Reasons:
    """The reasons for a selection; arguments as of :meth:`bcd_implicit.Selection.explain`."""
    if not (isinstance(costs, bool) or costs == ALL):
        raise InvalidInputError("costs", f"got {shown(costs)}", f"Give True, False or {ALL!r}")
    check_jobs(n_jobs)
    known, kappas = _facts(selection), selection.evidence.path.kappas
    sentences = [f"{in_words(selection)} The path goes from kappa {kappas[0]:.3g} to {kappas[-1]:.3g}."]
    if known["p_value"].notna().any() and selection.support.any():
        sentences.append(
            "A p-value judges an input next to a refit on the other selected inputs, and changes with that refit."
        )
    if selection.result.problem.scaling is not None:
        sentences.append(f"Units: {STANDARDISED}.")
    if costs:
        asked = np.ones(len(known), dtype=bool) if costs == ALL else (known["selected"] | known["by_rule"]).to_numpy()
        with stoppable(max_seconds), show_progress(progress, "explain") as tell:
            known, ended = _with_costs(selection, known, asked, selection.evidence.told(tell, n_jobs=n_jobs))
        sentences.append(
            "Held-out loss is the error in cross-validation of refits with and without the input, in shares of the "
            f"loss of the best constant, with {selection.result.problem.n_hidden} hidden features; +- is one standard "
            "error of the difference." + (f" {ended}: some were not refitted." if ended else "")
        )
    rows: list[dict[str, Any]] = [{str(name): value for name, value in row.items()} for row in known.to_dict("records")]
    known.insert(1, "why", [_why(selection, row) for row in rows])
    known.insert(1, "outcome", [_outcome(row) for row in rows])
    # Stable: within an outcome in the order of the path.
    table = known.iloc[np.argsort(~known["selected"], kind="stable")].reset_index(drop=True)
    return Reasons("Selection", sentences, table)


def in_words(selection: SelectionRecord) -> str:
    """What was chosen where, and what the score tests changed."""
    return f"{_chosen(selection)}. {_tested(selection)}."


def _chosen(selection: SelectionRecord) -> str:
    """What the rule chose, and at which kappa."""
    who = WHO.get(selection.rule, f"The rule {selection.rule}")
    n, p, kappa = int(selection.before_tests.sum()), len(selection.support), selection.chosen_kappa
    are_in = f"{n} of {p} inputs {'is' if n == 1 else 'are'} in"
    if selection.rule == "n_features":
        return f"Chosen by number: the {n} of {p} inputs that {'stays' if n == 1 else 'stay'} longest on the path"
    if kappa is None:
        return f"{who} chose {n} of {p} inputs"
    if kappa == selection.evidence.path.beyond:
        return f"{who} chose {'none but the inputs that are not penalised' if n else 'the model without inputs'}"
    return f"{who} chose kappa {kappa:.3g}, where {are_in}"


def _tested(selection: SelectionRecord) -> str:
    """What the score tests changed, with their p-values."""
    if selection.tests is None:
        return "There were no score tests"
    tests = f"Score tests at level {selection.level:g}"
    facts = _facts(selection)
    changes = []
    for verb, changed in (
        ("dropped", facts["by_rule"] & ~facts["selected"]),
        ("added", facts["selected"] & ~facts["by_rule"]),
    ):
        if changed.any():
            changes.append(f"{verb} {_with_p_values(facts[changed])}")
    n = int(selection.support.sum())
    said = f"{tests} {' and '.join(changes)}: {n} selected" if changes else f"{tests} changed nothing"
    failed = facts["selected"] & facts["by_rule"] & facts["penalised"] & (facts["p_value"] >= selection.level)
    if not failed.any():
        return said
    did, them = ("failed its test but was", "it") if failed.sum() == 1 else ("failed their tests but were", "them")
    return f"{said}. {_with_p_values(facts[failed])} {did} kept, because {WORSE} {them}"


def _with_p_values(facts: pd.DataFrame) -> str:
    return listed([f"{name}{_in_brackets(p)}" for name, p in zip(facts["input"], facts["p_value"], strict=True)])


def _in_brackets(p_value: float) -> str:
    return "" if np.isnan(p_value) else f" (p = {p_value:.2g})"


def _facts(selection: SelectionRecord) -> pd.DataFrame:
    """A row a group, in the order of the path: what is known without another fit."""
    path, tests = selection.evidence.path, selection.tests
    groups, order = path.problem.group_lasso.groups, path.order()[0]
    titles = groups.titles(path.problem.input_names)
    answers: dict[tuple[str, str], Any] = {}
    if tests is not None:
        rows_of_tests: list[Any] = list(tests.itertuples(index=False))
        answers = {(row.asked, row.inputs[0]): row for row in rows_of_tests}
    dropped_at, ever_in, rows = path.leaves_at, path.ever_in, []
    for g in dict.fromkeys(groups.labels[order].tolist()):
        members = groups.members[g]
        names = [path.problem.input_names[j] for j in members]
        kept, by_rule = bool(selection.support[members].any()), bool(selection.before_tests[members].any())
        # The one that decided: whether it may stay, of what the rule chose, and else whether it may enter.
        questions = ("stay", "enter") if by_rule else ("enter", "stay")
        found = [answers[question, names[0]] for question in questions if (question, names[0]) in answers]
        if by_rule and not kept:
            # Where nothing stands out next to no inputs, all leave, whatever they were next to each other.
            found = [row for row in found if row.p_value >= selection.level]
        answer = found[0] if found else None
        rows.append(
            {
                "input": titles[g],
                "inputs": names,
                "selected": kept,
                "by_rule": by_rule,
                "penalised": bool(groups.weights[g] > 0),
                "ever_in": bool(ever_in[members].any()),
                "dropped_at": float(dropped_at[members[0]]),
                "p_value": np.nan if answer is None else answer.p_value,
                "p_value_by": None if answer is None else answer.by,
            }
        )
    return pd.DataFrame(rows)


def _outcome(row: dict[str, Any]) -> str:
    if not row["selected"]:
        return DROPPED
    return "kept" if row["by_rule"] else "added"


def _why(selection: SelectionRecord, row: dict[str, Any]) -> str:
    """The reason of one input, from a row of facts."""
    words = [_of_the_path(selection, row), _of_the_tests(selection, row), _of_costs(row)]
    return "; ".join(word for word in words if word)


def _of_the_path(selection: SelectionRecord, row: dict[str, Any]) -> str:
    path, kappa, last = selection.evidence.path, selection.chosen_kappa, row["dropped_at"]
    if not row["penalised"]:
        return "not penalised: it always stays"
    if not row["ever_in"]:
        return "not in at any kappa of the path"
    stays = "stays in to the end of the path" if last == path.beyond else f"drops out at kappa {last:.3g}"
    if row["selected"] or row["by_rule"] or kappa is None or kappa == path.beyond:
        return stays
    # Some come back: the order along the path is that of growing kappas, or of falling radii.
    grows = path.beyond > 0
    if not (last > kappa if grows else last < kappa):
        return stays
    end = "to the end of the path" if last == path.beyond else f"out for good at {last:.3g}"
    return f"not in at kappa {kappa:.3g}, in again {'above' if grows else 'below'} it, {end}"


def _of_the_tests(selection: SelectionRecord, row: dict[str, Any]) -> str:
    if selection.tests is None or np.isnan(row["p_value"]):
        return ""
    level = selection.level
    assert level is not None
    p = f"p = {row['p_value']:.2g}" + (" by permutation" if row["p_value_by"] == "permutation" else "")
    if row["selected"] and not row["by_rule"]:
        who = WHO.get(selection.rule, f"the rule {selection.rule}").replace("Cross", "cross").replace("The", "the")
        return f"added by a score test, {p}: {who} had dropped it"
    if row["by_rule"] and not row["selected"]:
        return f"dropped by a score test, {p}"
    if row["selected"]:
        return p if row["p_value"] < level else f"not significant ({p}), but {WORSE} it"
    return f"adds too little {'to the selected inputs' if selection.support.any() else 'on its own'} ({p})"


def _of_costs(row: dict[str, Any]) -> str:
    if "cost" not in row or (np.isnan(row["error_with"]) and np.isnan(row["error_without"])):
        return ""
    if np.isnan(row["cost"]):
        return f"your constraints allow no model {'without' if row['selected'] else 'with'} it"
    # From the error of the selection to that of the other model.
    before, after = row["error_with"], row["error_without"]
    before, after = (before, after) if row["selected"] else (after, before)
    done = "leaving it out" if row["selected"] else "adding it"
    size = f"{abs(row['cost']):.2g} +- {row['standard_error']:.2g}"
    return f"{done} {'costs' if after >= before else 'saves'} {size} (held-out loss {before:.3g} -> {after:.3g})"


def _with_costs(
    selection: SelectionRecord, known: pd.DataFrame, asked: np.ndarray, evidence: Evidence
) -> tuple[pd.DataFrame, str]:
    """The facts with what each input is worth on held-out samples, and in words what ended it early.

    The models of all folds on the selection are fitted first, and those with one group more or less start from them.
    """
    problem, n_hidden = evidence.path.problem, selection.result.problem.n_hidden
    groups, order = problem.group_lasso.groups, evidence.path.order()[0]
    # In the order of the facts.
    labels, ended = list(dict.fromkeys(groups.labels[order].tolist())), ""
    columns = {name: np.full(len(known), np.nan) for name in ("cost", "standard_error", "error_with", "error_without")}
    tell: Callable[[float, str], None] = evidence.settings.on_progress
    try:
        unseen = UnseenSamples(evidence.told(n_jobs=evidence.settings.n_jobs), selection.support, n_hidden)
        base = float(statistics.mean(unseen.errors, problem.shares))
        for i, place in enumerate(np.flatnonzero(asked)):
            check_stop()
            tell(i / asked.sum(), str(known["input"][place]))
            group, kept = groups.labels == labels[place], bool(known["selected"][place])
            columns["error_with" if kept else "error_without"][place] = base
            try:
                errors = unseen.errors_on(selection.support ^ group)
            except BlockSolveError as error:
                if not error.infeasible:
                    raise
                continue
            growth = errors - unseen.errors if kept else unseen.errors - errors
            columns["error_without" if kept else "error_with"][place] = statistics.mean(errors, problem.shares)
            columns["cost"][place] = statistics.mean(growth, problem.shares)
            columns["standard_error"][place] = evidence.standard_error(growth)
    except Stop as stop:
        ended = "Stopped at max_seconds" if stop.status == "TIME_LIMIT" else "Interrupted"
        # What was being fitted has no cost.
        undone = np.isnan(columns["cost"])
        columns["error_with"][undone], columns["error_without"][undone] = np.nan, np.nan
    return known.assign(**columns), ended

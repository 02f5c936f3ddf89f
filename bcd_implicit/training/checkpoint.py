"""Checkpoints: all that a run needs to go on as if nothing had happened.

A file holds what the run was called with, the results of the solves that are done (a path has many), and the state of
the one under way. Whoever resumes calls the same again: what is done is read instead of solved, and from there on the
run takes the same steps, to the last bit.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pandas as pd

from bcd_implicit.certificates.certificate import Certificate
from bcd_implicit.errors import InvalidInputError, shown
from bcd_implicit.problem.iterate import Iterate, check_iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.archives import Member, is_archive, read_arrays, write_arrays
from bcd_implicit.support.files import check_path
from bcd_implicit.training.descent import Descent
from bcd_implicit.training.extrapolation import Extrapolation
from bcd_implicit.training.loop import State
from bcd_implicit.training.optimizers import Moments
from bcd_implicit.training.result import HISTORY, BcdResult, Status

# Seconds between two writes, and how many times longer than a write that has to be at least.
SECONDS, TIMES_A_WRITE = 30.0, 20.0
# A message names this many of the differences between two runs; runs of two commands differ in nearly all settings.
MOST_TOLD = 3
REMEDY = "Give the file of an earlier run, or a new name to start again"
# Of runs from before there was this setting.
_SINCE = {"well_posedness": "inf-norm"}
_FORMAT = "bcd_implicit checkpoint 1"
_MEMBERS = {"text": Member("U"), "numbers": Member("f8", ("n",))}
# What one of two runs was not called with.
_ABSENT = object()
# The key of an array's place among the numbers.
_ARRAY = "__array__"


def described(problem: TrainingProblem, **call: Any) -> dict[str, Any]:
    """What a run depends on, by name; arrays by their hash, functions by their name."""
    arrays = {"U": problem.U, "Y": problem.Y, "sample_weight": problem.shares}
    weights = dict(zip(map(str, problem.group_lasso.groups.names), map(float, problem.group_weights), strict=True))
    settings = {
        "n_hidden": problem.n_hidden,
        "activation": problem.activation.name,
        **problem.activation.parameters,
        "loss": problem.loss.name,
        **{f"loss {name}": value for name, value in problem.loss.parameters.items()},
        "fenchel_weight": problem.fenchel_weights.tolist(),
        "groups": [str(group) for group in problem.groups],
        "group_weights": weights,
        "constraints": _fingerprints(problem),
    }
    for name in ("norm_bound", "kappa", "ridge", "ridge_hidden", "fit_intercept", "pass_through"):
        settings[name] = getattr(problem, name)
    settings |= {name: getattr(problem, name) for name in ("group_form", "group_norm", "group_over")}
    settings["well_posedness"] = problem.well_posedness
    # Not where they say nothing new: files from before there were these settings are read.
    if problem.row_set.weights is not None:
        settings["kappa_A"] = _plain(problem.kappa_A)
    if problem.pattern:
        settings["pattern"] = {letter: _hash(mask) for letter, mask in problem.pattern.free.items()}
    return {name: _hash(array) for name, array in arrays.items()} | settings | {k: _plain(v) for k, v in call.items()}


def _fingerprints(problem: TrainingProblem) -> dict[str, list[str]]:
    """A user's constraints and penalties by name, told apart by their values at a few points.

    Functions cannot be compared, and unnamed ones all have the same names.
    """
    found: dict[str, list[str]] = {name: [] for name in problem.constraints}
    rng = np.random.default_rng(0)
    for _ in range(3 if found else 0):
        it = Iterate(**{letter: rng.standard_normal(shape) for letter, shape in problem.shapes.items()})
        for terms in problem.user_terms(it):
            penalties = {name: np.max(np.asarray(term.value, dtype=float)) for name, term in terms.penalties.items()}
            for name, value in {**terms.violations(), **penalties}.items():
                # Last digits differ between machines.
                found[name].append(f"{value:.6g}")
    return found


def _hash(array: np.ndarray) -> str:
    return hashlib.sha256(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes()).hexdigest()


def _plain(value: Any) -> Any:
    """A form of an argument that JSON knows and that is equal for equal arguments."""
    if isinstance(value, Iterate):
        return {letter.name: _hash(getattr(value, letter.name)) for letter in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return _hash(value)
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    # A generator has no value that would tell it from others.
    return value if value is None or isinstance(value, (str, int, float)) else type(value).__name__


class Checkpoint:
    """What is kept of a run in a file, and what an earlier one has left there.

    Parameters
    ----------
    path : str or path-like
    run : dict
        As by :func:`described`.
    resume : bool
        Whether to go on from the file, where there is one.

    Raises
    ------
    InvalidInputError
        The file is no checkpoint, or that of another run; the message says what differs.
    """

    def __init__(self, path: str | os.PathLike[str], run: dict[str, Any], resume: bool = True) -> None:
        self.path, self.run, self.due, self.is_new = check_path("checkpoint", path), run, 0.0, True
        self.done: list[Any] = []
        self.under_way: Any = None
        if not resume and self.path.is_file() and not is_archive(self.path):
            raise InvalidInputError(str(self.path), "exists, and is not a checkpoint", "Give another name")
        if resume and self.path.exists():
            self.is_new = False
            stored = self._read()
            self._check_run(stored["run"])
            self.done, self.under_way = stored["done"], stored["under_way"]

    def _read(self) -> dict[str, Any]:
        arrays = read_arrays(self.path, {_FORMAT: _MEMBERS}, "checkpoint", REMEDY)
        try:
            stored = _unpacked(json.loads(str(arrays["text"])), arrays["numbers"])
            if not isinstance(stored["run"], dict) or not isinstance(stored["done"], list):
                raise TypeError("it is of another form")
            return stored | {"under_way": stored["under_way"]}
        except _DAMAGE as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> InvalidInputError:
        return InvalidInputError(str(self.path), f"is damaged or not a checkpoint ({error!r})", REMEDY)

    def _check_run(self, before: dict[str, Any]) -> None:
        # As it would have come from a file: tuples are lists there.
        before, now = _SINCE | before, json.loads(json.dumps(self.run))
        differing = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if differing:
            words = ", ".join(
                _in_words(name, before.get(name, _ABSENT), now.get(name, _ABSENT)) for name in differing[:MOST_TOLD]
            )
            rest = f", and {len(differing) - MOST_TOLD} more" if len(differing) > MOST_TOLD else ""
            raise InvalidInputError(str(self.path), f"is of another run: {words}{rest}", REMEDY)

    def state(self, problem: TrainingProblem, max_cycles: int = 0) -> tuple[State, Status | None] | None:
        """The state of the solve under way and, if it has ended, how; None where there is none.

        If more cycles are wanted than those after which it was finished, it is the state before the finishing one.

        Raises
        ------
        InvalidInputError
            The file is damaged.
        """
        stored = self.under_way
        if stored is None:
            return None
        try:
            if stored.get("before") is not None and max_cycles > len(stored["before"]["rows"]) + 1:
                stored = stored["before"]
            rest = {k: v for k, v in stored.items() if k not in ("status", "reach", "step", "before")}
            step = stored["step"] and tuple(_iterate(it, problem) for it in stored["step"])
            rest |= {
                "iterate": _iterate(stored["iterate"], problem),
                "extrapolation": Extrapolation(float(stored["reach"]), step),
                "certificates": _certificates(stored["certificates"]),
                # Absent from files of before there was such a loop.
                "descent": _descent(stored.get("descent"), problem),
            }
            return State(**rest), stored["status"] and Status[stored["status"]]
        except _DAMAGE as error:
            raise self._damaged(error) from None

    def result(self, place: int, problem: TrainingProblem) -> BcdResult | None:
        """The result of the solve at this place, if it is done.

        Raises
        ------
        InvalidInputError
            The file is damaged.
        """
        if place >= len(self.done):
            return None
        try:
            stored = self.done[place]
            return BcdResult(
                problem,
                stored["method"],
                stored["solver"],
                Status[stored["status"]],
                _iterate(stored["iterate"], problem),
                pd.DataFrame(stored["rows"], columns=HISTORY),
                _certificates(stored["certificates"]),
                stored["dual_values"],
                stored["solvers"],
            )
        except _DAMAGE as error:
            raise self._damaged(error) from None

    def keep(
        self, state: State, status: Status | None = None, at_once: bool = False, before: State | None = None
    ) -> None:
        """Keep the state of the solve under way and, once it has ended, how; written now and then, or at once.

        ``before`` is the state before a last cycle that is finer only because it is the last: a run of more cycles goes
        on from there.
        """
        # Whoever is interrupted goes on.
        self.under_way = _parts_of(state, None if status is None or status.cut_short else status.name)
        if before is not None:
            self.under_way["before"] = _parts_of(before, None)
        self.write(at_once or self.is_new)

    def add(self, result: BcdResult) -> None:
        """Add a result to those that are done: the next solve is another one."""
        self.done.append(
            {
                "method": result.method,
                "solver": result.solver,
                "status": result.status.name,
                "iterate": vars(result.iterate),
                "rows": result.history.to_dict("records"),
                "certificates": {name: asdict(c) for name, c in result.certificates.items()},
                "dual_values": result.dual_values,
                "solvers": result.solvers,
            }
        )
        self.under_way = None
        self.write()

    def write(self, at_once: bool = False) -> None:
        """Write the file, if the last time is long enough ago.

        A run does not end because of it: only a first write that fails is an error.
        """
        began = time.monotonic()
        if not at_once and began < self.due:
            return
        numbers = _Numbers()
        stored = {"run": self.run, "done": self.done, "under_way": self.under_way}
        text = json.dumps(_packed(stored, numbers))
        try:
            write_arrays(self.path, _FORMAT, {"text": np.array(text), "numbers": numbers.joined()})
        except InvalidInputError as error:
            if self.is_new:
                raise
            warnings.warn(f"The checkpoint could not be written: {error}", UserWarning, stacklevel=2)
        self.is_new = False
        ended = time.monotonic()
        self.due = ended + max(SECONDS, TIMES_A_WRITE * (ended - began))


# What damaged files lead to, once their arrays are read.
_DAMAGE = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
# The parts of a state that are kept as they are.
_KEPT = {"objective", "rows", "nothing", "change", "share", "finishing"} | {
    *("damping", "mu", "attempts", "stalled", "dual_values", "solvers", "fenchel_weights", "learning_rate")
}


def _parts_of(state: State, status: str | None) -> dict[str, Any]:
    return {field.name: getattr(state, field.name) for field in fields(state) if field.name in _KEPT} | {
        "iterate": vars(state.iterate),
        "reach": state.extrapolation.reach,
        "step": state.extrapolation.step and [vars(it) for it in state.extrapolation.step],
        "certificates": {name: asdict(c) for name, c in state.certificates.items()},
        "descent": state.descent
        and vars(state.descent) | {"best": vars(state.descent.best), "moments": vars(state.descent.moments)},
        "status": status,
    }


def _in_words(name: str, before: Any, now: Any) -> str:
    """Such as "kappa was 0.1 and is 0.2"; of lists where they begin to differ, of arrays only the name."""
    if isinstance(before, list) and isinstance(now, list):
        if len(before) != len(now):
            return f"{name} had {len(before)} entries and has {len(now)}"
        place = next(i for i, pair in enumerate(zip(before, now, strict=True)) if pair[0] != pair[1])
        return _in_words(f"{name}[{place}]", before[place], now[place])
    if any(isinstance(value, dict) or len(str(value)) > 60 for value in (before, now)):
        return f"{name} differs"
    was, is_now = ("not given" if value is _ABSENT else shown(value) for value in (before, now))
    return f"{name} was {was} and is {is_now}"


def _iterate(stored: Mapping[str, Any], problem: TrainingProblem) -> Iterate:
    return check_iterate(Iterate(**stored), problem.shapes, problem.activation)


def _certificates(stored: Mapping[str, Any]) -> dict[str, Certificate]:
    return {name: Certificate(**certificate) for name, certificate in stored.items()}


def _descent(stored: Mapping[str, Any] | None, problem: TrainingProblem) -> Descent | None:
    if stored is None:
        return None
    parts = {"best": _iterate(stored["best"], problem), "moments": Moments(**stored["moments"])}
    return Descent(**{**stored, **parts})


class _Numbers:
    """The arrays of a file, one behind the other."""

    def __init__(self) -> None:
        self.arrays, self.count = list[np.ndarray](), 0

    def put(self, array: np.ndarray) -> list[int]:
        """Where it begins, and its shape."""
        place = [self.count, *array.shape]
        self.arrays.append(np.asarray(array, dtype=float).ravel())
        self.count += array.size
        return place

    def joined(self) -> np.ndarray:
        return np.concatenate([np.zeros(0), *self.arrays])


def _packed(value: Any, numbers: _Numbers) -> Any:
    """The value in the types of JSON, its arrays among the numbers."""
    if isinstance(value, np.ndarray):
        return {_ARRAY: numbers.put(value)}
    if isinstance(value, Mapping):
        return {k: _packed(v, numbers) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_packed(v, numbers) for v in value]
    return value.item() if isinstance(value, np.generic) else value


def _unpacked(value: Any, numbers: np.ndarray) -> Any:
    if isinstance(value, dict):
        if _ARRAY in value:
            begin, *shape = value[_ARRAY]
            if min(begin, *shape, 0) < 0:
                raise ValueError("an array of negative size")
            return numbers[begin : begin + int(np.prod(shape))].reshape(shape).copy()
        return {k: _unpacked(v, numbers) for k, v in value.items()}
    return [_unpacked(v, numbers) for v in value] if isinstance(value, list) else value

"""The ways to train: what each has to be told, what it is tuned over, and how it runs until its time is up."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import bcd_implicit as bi
from contrast_parts.clock import Recorder, best_by
from contrast_parts.problems import Task

Setting = dict[str, Any]
# Twelve settings: learning rates and sizes of a batch, None for all samples at once.
RATES, BATCHES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1), (64, None)
GRADIENT: tuple[Setting, ...] = tuple(
    {"learning_rate": rate, "batch_size": batch} for rate, batch in itertools.product(RATES, BATCHES)
)
# As many cycles as there is time for.
ENDLESS = 10**7


@dataclass(frozen=True)
class Way:
    """One way to train.

    Attributes
    ----------
    run : callable
        Of a task's problem, a setting, a seed and a recorder.
    settings : tuple of dict
        What it is tuned over; of one there is nothing to choose.
    by_gradients : bool
    needs : str
        What has to be installed.
    """

    run: Callable[[Task, Setting, int, Recorder], None]
    settings: tuple[Setting, ...] = ({},)
    by_gradients: bool = True
    needs: str = "bcd_implicit"

    @property
    def is_there(self) -> bool:
        return importlib.util.find_spec(self.needs) is not None


def by_blocks(method: str) -> Callable[[Task, Setting, int, Recorder], None]:
    """A loop of the package that solves its blocks; its end is recorded too, as the loop returns it."""

    def run(task: Task, setting: Setting, seed: int, recorder: Recorder) -> None:
        problem = recorder.problem.replace(**setting)
        result = bi.solve(problem, method, max_cycles=ENDLESS, tol=1e-6, random_state=seed, callback=recorder)
        recorder.record(lambda: result.iterate, recorder.elapsed)

    return run


def by_restarts(task: Task, setting: Setting, seed: int, recorder: Recorder) -> None:
    """prox-linear from one random start after the other, the first as before: it may be at its end long before time."""
    start: Any = seed
    for k in itertools.count(1):
        result = bi.solve(recorder.problem, max_cycles=ENDLESS, tol=1e-6, random_state=start, callback=recorder)
        recorder.record(lambda it=result.iterate: it, recorder.elapsed)
        if recorder.elapsed >= recorder.seconds:
            return
        start = np.random.default_rng([seed, k])


def by_solve(gradient: str) -> Callable[[Task, Setting, int, Recorder], None]:
    """The package's own Adam. Its iterates count as they are, without the exact output block at the end."""

    def run(task: Task, setting: Setting, seed: int, recorder: Recorder) -> None:
        given = {"gradient": gradient, **setting, "random_state": seed, "callback": recorder}
        bi.solve(recorder.problem, "gradient", max_cycles=ENDLESS, tol=0.0, **given)

    return run


def gradients_first(task: Task, setting: Setting, seed: int, recorder: Recorder) -> None:
    """Twenty epochs of the package's Adam as it comes, from which prox-linear goes on: nothing is tuned."""
    told = {"random_state": seed, "callback": recorder}
    found = bi.solve(recorder.problem, "gradient", max_cycles=20, tol=0.0, **told)
    result = bi.solve(recorder.problem, max_cycles=ENDLESS, tol=1e-6, start=found, callback=recorder)
    recorder.record(lambda: result.iterate, recorder.elapsed)


def by_pytorch(layer: str) -> Callable[[Task, Setting, int, Recorder], None]:
    """Adam of PyTorch on a layer: "ours", or "torchdeq"."""

    def run(task: Task, setting: Setting, seed: int, recorder: Recorder) -> None:
        # Where it is asked for: PyTorch is optional.
        from contrast_parts import pytorch

        pytorch.train(pytorch.LAYERS[layer], setting, seed, recorder)

    return run


WAYS: dict[str, Way] = {
    "prox-linear": Way(by_blocks("prox-linear"), by_gradients=False),
    "prox-linear, restarted": Way(by_restarts, by_gradients=False),
    "gradient first": Way(gradients_first, by_gradients=False),
    "fenchel": Way(
        by_blocks("fenchel"),
        tuple({"fenchel_weight": weight} for weight in (1.0, 10.0, 100.0, 1000.0)),
        by_gradients=False,
    ),
    "gradient, exact": Way(by_solve("exact"), GRADIENT),
    "gradient, Jacobian-free": Way(by_solve("jacobian-free"), GRADIENT),
    "PyTorch, ImplicitLayer": Way(by_pytorch("ours"), GRADIENT, needs="torch"),
    "PyTorch, torchdeq": Way(by_pytorch("torchdeq"), GRADIENT, needs="torchdeq"),
}


def curve(task: Task, way: str, setting: Setting, seed: int, seconds: float) -> dict[str, Any]:
    """One run: its records, how many cycles or steps it took, and what broke it off, if anything did."""
    recorder, failed = Recorder(task, seconds), ""
    try:
        WAYS[way].run(task, setting, seed, recorder)
    except bi.BcdError as error:
        # Rates that are too high end like this; the others go on.
        failed = f"{type(error).__name__}: {error}"
    return {"curve": recorder.curve, "n_calls": recorder.n_calls, "failed": failed}


def chosen(tuning: list[dict[str, Any]]) -> Iterator[tuple[str, Setting]]:
    """Of a way's runs on the choosing drawing: the setting of the lowest objective, and that of the best score."""
    ends = [(best_by(row["curve"], float("inf")), row["setting"]) for row in tuning]
    there = [(end, setting) for end, setting in ends if end is not None]
    if there:
        yield "objective", min(there, key=lambda pair: pair[0]["objective"])[1]
        yield "score", max(there, key=lambda pair: pair[0]["score"])[1]

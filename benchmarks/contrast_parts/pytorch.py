"""The same objective by PyTorch: an equilibrium layer, Adam with a cosine schedule, A's rows projected after each step.

The penalty on B's columns is a term of the loss, as PyTorch's users have it, and its gradient a subgradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch

import bcd_implicit as bi
from bcd_implicit.training.scale import best_scale, scaled_by
from contrast_parts.clock import Recorder

nn = torch.nn.functional


class TorchdeqLayer(bi.torch.ImplicitLayer):
    """The same parameters, with the equilibrium and its gradient by torchdeq, as it comes."""

    def __init__(self, model: bi.ImplicitModel) -> None:
        super().__init__(model)
        import torchdeq

        self.deq = torchdeq.get_deq()

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        drive = u @ self.B.T + self.b
        states, _ = self.deq(lambda x: torch.relu(x @ self.A.T + drive), torch.zeros_like(drive))
        return states[-1] @ self.C.T + u @ self.D.T + self.d


LAYERS: dict[str, Callable[[bi.ImplicitModel], Any]] = {"ours": bi.torch.ImplicitLayer, "torchdeq": TorchdeqLayer}


def objective(problem: bi.TrainingProblem, layer: Any, u: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(T) of the samples u, y: squared loss or cross-entropy, relu, a group lasso on B alone."""
    predicted = layer(u)
    loss = (
        nn.cross_entropy(predicted, y)
        if problem.loss.name == "cross-entropy"
        else ((predicted - y) ** 2).sum() / (2 * len(y))
    )
    ridge = problem.ridge / 2 * (layer.C.square().sum() + layer.D.square().sum())
    ridge_hidden = problem.ridge_hidden / 2 * (layer.A.square().sum() + layer.B.square().sum())
    return loss + ridge + ridge_hidden + problem.kappa * torch.linalg.vector_norm(layer.B, dim=0).sum()


def batches(m: int, size: int | None, seed: int) -> Iterator[torch.Tensor]:
    """For ever: samples in a new order each epoch, so many at a time."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(m, generator=generator).split(size or m)


def train(make: Callable[[bi.ImplicitModel], Any], setting: dict[str, Any], seed: int, recorder: Recorder) -> None:
    """Until the recorder says that time is up; the learning rate falls to zero by then."""
    problem, rate = recorder.problem, setting["learning_rate"]
    # As the package's own Adam begins: at C = 0 no column of B is worth its penalty, and B's scale is that of no data.
    it = bi.solve_block(problem, problem.initial(seed), "output").iterate
    layer = make(problem.model(scaled_by(best_scale(problem, it), it)))
    # What the problem has not is no parameter of it.
    layer.D.requires_grad_(problem.pass_through)
    u, y = torch.from_numpy(problem.U.T.copy()), torch.from_numpy(problem.Y.T.copy())
    optimizer = torch.optim.Adam([p for p in layer.parameters() if p.requires_grad], lr=rate)
    steps = max(1, len(u) // (setting["batch_size"] or len(u)))
    for k, batch in enumerate(batches(len(u), setting["batch_size"], seed), start=1):
        share = min(recorder.elapsed / recorder.seconds, 1.0)
        optimizer.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * share)) / 2
        optimizer.zero_grad()
        objective(problem, layer, u[batch], y[batch]).backward()
        optimizer.step()
        layer.project_(problem.norm_bound)
        if k % steps == 0 and recorder.visit(k, lambda: problem.iterate(layer.model())):
            return

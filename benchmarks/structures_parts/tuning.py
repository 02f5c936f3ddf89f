"""A perceptron that PyTorch has begun, brought on by blocks, and by PyTorch in the same processor time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

import bcd_implicit as bi
from structures_parts.tables import WIDTH, Data, judged, problem_of, timed

EPOCHS, BATCH, RATE = 20, 50, 1e-2


def perceptron(p: int, q: int) -> nn.Sequential:
    """Two hidden layers of relu."""
    hidden = (nn.Linear(p, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())
    return nn.Sequential(*hidden, nn.Linear(WIDTH, q)).double()


class Training:
    """A network, its data, and the objective of :mod:`structures_parts.training`."""

    def __init__(self, net: nn.Sequential, data: Data, ridge: float) -> None:
        self.net, self.ridge, self.U = net, ridge, torch.from_numpy(data.U)
        self.targets = torch.from_numpy(data.targets if data.classes else data.Y)
        self.loss = nn.CrossEntropyLoss() if data.classes else lambda f, y: nn.functional.mse_loss(f, y) / 2

    def objective(self, batch: Any = slice(None)) -> torch.Tensor:
        squares = sum((layer.weight**2).sum() for layer in self.net if isinstance(layer, nn.Linear))
        return self.loss(self.net(self.U[batch]), self.targets[batch]) + self.ridge / 2 * squares

    def adam(self, rate: float, epochs: int | None = None, seconds: float = np.inf) -> None:
        """Epochs, or as many as go into these processor seconds."""
        optimizer, start, done = torch.optim.Adam(self.net.parameters(), lr=rate), time.process_time(), 0
        while done != epochs and time.process_time() - start < seconds:
            for batch in torch.randperm(len(self.U)).split(BATCH):
                optimizer.zero_grad()
                self.objective(batch).backward()
                optimizer.step()
            done += 1

    def lbfgs(self, seconds: float) -> None:
        """Until it stands still, or these processor seconds are over."""
        settings = {"max_iter": 20, "history_size": 10, "line_search_fn": "strong_wolfe"}
        optimizer, start = torch.optim.LBFGS(self.net.parameters(), **settings), time.process_time()

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            value = self.objective()
            value.backward()
            return value

        before, value = np.inf, self.objective().item()
        while before - value > 1e-9 * value and time.process_time() - start < seconds:
            optimizer.step(closure)
            before, value = value, self.objective().item()


def rows(data: Data, ridge: float, seed: int, **settings: Any) -> list[dict[str, Any]]:
    """The perceptron as Adam leaves it, and what blocks, Adam and L-BFGS make of it; ``settings`` are bi.solve's."""
    torch.manual_seed(seed)
    net = perceptron(data.U.shape[1], data.Y.shape[1])
    training = Training(net, data, ridge)
    _, seconds = timed(lambda: training.adam(RATE, EPOCHS))
    begun = {name: part.clone() for name, part in net.state_dict().items()}
    shape = data.U.shape[1:]
    given = bi.from_torch(net, shape)
    problem = problem_of(data, ridge, "relu", pattern=given)
    found = []

    def take(name: str, model: bi.ImplicitModel, seconds: float, **more: Any) -> None:
        about = {"table": data.name, "method": name, "seed": seed, "seconds": seconds, **more}
        found.append(about | judged(model, data, problem))

    take(f"Adam, {EPOCHS} epochs", given, seconds)
    start = problem.iterate(given)
    result, ours = timed(lambda: bi.solve(problem, start=start, **settings))
    back = bi.to_torch(result.model)(torch.from_numpy(data.U_new)).detach().numpy()
    off = float(np.abs(back.reshape(len(back), -1) - result.model.outputs(data.U_new)).max() / np.abs(back).max())
    take("then blocks", result.model, ours, cycles=result.n_cycles, back_off=off)

    on: dict[str, Callable[[], None]] = {
        "then Adam as long, the same rate": lambda: training.adam(RATE, seconds=ours),
        "then Adam as long, a tenth of the rate": lambda: training.adam(RATE / 10, seconds=ours),
        "then L-BFGS as long at most": lambda: training.lbfgs(ours),
    }
    for name, go_on in on.items():
        net.load_state_dict(begun)
        _, seconds = timed(go_on)
        take(name, bi.from_torch(net, shape), seconds)
    return found

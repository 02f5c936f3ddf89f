"""Optimizers of the gradient loop: from a gradient to a step, and the metric in which the step is measured.

A step goes from theta to ``theta - r s m``: r the learning rate, m a mean of the gradients so far and s one number, or
one for each unknown. It is the minimiser of ``<m, t - theta> + sum_i (t_i - theta_i)^2 / (2 r s_i)``; so the norm bound
and the group lasso, which are added to that, act by their projection and proximal map in the metric ``1 / (r s)``.

To add an optimizer, subclass :class:`Optimizer` and add an instance to :data:`OPTIMIZERS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bcd_implicit.support.checks import check_number


@dataclass
class Moments:
    """What an optimizer remembers of earlier gradients; all vectors have an entry for each unknown.

    Attributes
    ----------
    first, second : ndarray of shape (n_unknowns,)
        Decaying sums of gradients and of their squares.
    count : int
        Steps taken.
    """

    first: np.ndarray
    second: np.ndarray
    count: int = 0

    @staticmethod
    def none(n_unknowns: int) -> Moments:
        """Those of a run that has not begun."""
        return Moments(np.zeros(n_unknowns), np.zeros(n_unknowns))

    def scaled(self, factors: np.ndarray) -> Moments:
        """Those in other units, of gradients that are ``factors`` times as large; a copy."""
        return Moments(self.first * factors, self.second * factors**2, self.count)


@dataclass(frozen=True)
class Optimizer:
    """What every optimizer offers.

    Parameters
    ----------
    momentum : float
        The share of the mean gradient that a step keeps.
    """

    name: ClassVar[str]
    momentum: float = 0.0

    def __post_init__(self) -> None:
        remedy = "Give a share such as 0.9"
        check_number("momentum", self.momentum, 0, 1, boundaries="left", remedy=remedy)

    def moves(self, moments: Moments, gradient: np.ndarray) -> tuple[np.ndarray, float | np.ndarray]:
        """The m and s of a step by this gradient, which the moments take in."""
        moments.count += 1
        moments.first *= self.momentum
        moments.first += (1 - self.momentum) * gradient
        mean = moments.first / (1 - self.momentum**moments.count)
        return mean, self.scales(moments, gradient)

    def scales(self, moments: Moments, gradient: np.ndarray) -> float | np.ndarray:
        """The numbers s alone, positive: one, or one for each unknown. It may change ``moments.second``."""
        raise NotImplementedError


@dataclass(frozen=True)
class SGD(Optimizer):
    """The gradient itself, or with ``momentum`` its mean, in the metric of all unknowns alike.

    Parameters
    ----------
    momentum : float
    """

    name: ClassVar[str] = "sgd"

    def scales(self, moments, gradient):
        return 1.0


@dataclass(frozen=True)
class Adam(Optimizer):
    """Each unknown in the units of its own gradients (Kingma and Ba, arXiv 1412.6980, algorithm 1).

    With a group lasso the metric is the optimizer's, entry by entry (Yun, Lozano, Yang, arXiv 2007.07484).

    Parameters
    ----------
    momentum : float
        beta_1.
    memory : float
        beta_2, the share of the mean square that a step keeps.
    epsilon : float
        Added to the roots of mean squares.
    """

    name: ClassVar[str] = "adam"
    momentum: float = 0.9
    memory: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("memory", self.memory, 0, 1, boundaries="left", remedy="Give a share such as 0.999")
        check_number("epsilon", self.epsilon, 0, boundaries="neither", remedy="Give a small number such as 1e-8")

    def scales(self, moments, gradient):
        second = moments.second
        second *= self.memory
        second += (1 - self.memory) * gradient**2
        root = np.sqrt(second / (1 - self.memory**moments.count))
        root += self.epsilon
        return 1 / root


#: The optimizers, by name.
OPTIMIZERS: dict[str, Optimizer] = {optimizer.name: optimizer for optimizer in (Adam(), SGD())}

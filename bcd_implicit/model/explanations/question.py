"""What is asked of given predictions: how far each input alone, or group of inputs, could have moved them.

Each sample and group is a box of its own, in which all other inputs stay where they are. All boxes are bounded in one
batch, and attacked in another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from bcd_implicit.model.matrices import dense
from bcd_implicit.model.robustness import Robustness
from bcd_implicit.model.robustness.bounds import Bounds
from bcd_implicit.terms.groups import Groups

# Beside the attacks so many points across each box are tried: a function of one input may rise at both ends.
POINTS = 21
# What predictions are called, by the scale that they are on.
CALLED = {"identity": "", "log": "log of ", "logit": "log odds of ", "softmax": "score of "}
# The place of a change is found to a part in 2^12 of a step between points.
HALVINGS = 12


@dataclass(frozen=True, eq=False)
class Proved:
    """What certified bounds say, for m samples, k outputs and g groups of inputs.

    Attributes
    ----------
    lower, upper : ndarray of shape (m, k, g)
        Between them is what is explained, for all inputs in the boxes.
    bounds : tuple of Bounds
        From which this was taken, with their certificates.
    """

    lower: np.ndarray
    upper: np.ndarray
    bounds: tuple[Bounds, ...]


@dataclass(frozen=True, eq=False)
class Reached:
    """What attacks found, for m samples, k outputs and g groups of p inputs.

    Attributes
    ----------
    lower, upper : ndarray of shape (m, k, g)
        The least and the largest values of what is explained.
    lower_inputs, upper_inputs : ndarray of shape (m, k, g, p)
        Where.
    """

    lower: np.ndarray
    upper: np.ndarray
    lower_inputs: np.ndarray
    upper_inputs: np.ndarray


@dataclass(frozen=True, eq=False)
class Question:
    """Which inputs, each group by itself, could have changed what a model predicts of given samples.

    Attributes
    ----------
    model : ImplicitModel
    inputs, radius : ndarray of shape (m, p)
        Where inputs are, and how far each may be from there.
    groups : Groups
        Which inputs move together.
    about : {"values", "class", "labels"}
        What is explained: predictions; by how much the output of the predicted class is above all others; or, of each
        output, how far it is on its side of 0.
    outputs : ndarray of int, shape (k,)
        Those asked for; of a class there is one answer, k = 1, whatever they are.
    options : mapping
        Of :meth:`~bcd_implicit.model.robustness.robustness.Robustness.bounds`.
    """

    model: Robustness
    inputs: np.ndarray
    radius: np.ndarray
    groups: Groups
    about: str
    outputs: np.ndarray
    options: Mapping[str, Any] = field(repr=False)

    @property
    def margins(self) -> bool:
        """Whether what is explained is a margin, which is below 0 where the class is another one."""
        return self.about != "values"

    @cached_property
    def predictions(self) -> np.ndarray:
        """Of the model at the inputs as they are, (m, q)."""
        return self.model.outputs(self.inputs)

    @cached_property
    def top(self) -> np.ndarray:
        """The output of the class that is predicted, (m,)."""
        return self.predictions.argmax(axis=1)

    @cached_property
    def next(self) -> np.ndarray:
        """The output that comes next to the largest one, (m,)."""
        others = self.predictions.copy()
        others[np.arange(len(others)), self.top] = -np.inf
        return others.argmax(axis=1)

    @cached_property
    def sides(self) -> np.ndarray:
        """The side of 0 of each output that was asked for, (m, k): 1 or -1."""
        return np.where(self.predictions[:, self.outputs] > 0, 1.0, -1.0)

    def asked(self, Y: np.ndarray) -> np.ndarray:
        """What is explained, (..., m, k), of predictions (..., m, q)."""
        if self.about == "values":
            return Y[..., self.outputs]
        if self.about == "labels":
            return Y[..., self.outputs] * self.sides
        samples, others = np.arange(len(self.inputs)), Y.copy()
        others[..., samples, self.top] = -np.inf
        return (Y[..., samples, self.top] - others.max(axis=-1))[..., None]

    def radii(self, shares: np.ndarray) -> np.ndarray:
        """The radius of each input in each box, (m, g, p), of which only shares (m, g) count."""
        members = self.groups.labels == np.arange(len(self.groups.names))[:, None]
        return np.asarray(shares[:, :, None] * self.radius[:, None] * members)

    def proved(self, shares: np.ndarray) -> Proved:
        """Certified bounds in the boxes whose radii are shares (m, g) of the radius."""
        radii = self.radii(shares)
        if self.about == "class":
            bounds = tuple(self._bounds(self._margins_of(k), here, radii[here]) for k, here in self._by_class)
        else:
            bounds = (self._bounds(self.model, np.arange(len(radii)), radii, [int(k) for k in self.outputs]),)
        return Proved(*self.ends(bounds), bounds)

    def ends(self, bounds: tuple[Bounds, ...]) -> tuple[np.ndarray, np.ndarray]:
        """What bounds say of what is explained, at least and at most: (m, k, g) each."""
        m, g = len(self.inputs), len(self.groups.names)
        if self.about == "class":
            lower, upper = np.empty((2, m, 1, g))
            for (_, here), found in zip(self._by_class, bounds, strict=True):
                # The least margin over the others is the margin over all of them.
                ends = (side.min(axis=1).reshape(-1, g) for side in (found.lower, found.upper))
                lower[here, 0], upper[here, 0] = ends
            return lower, upper
        lower, upper = (side.reshape(m, g, -1).swapaxes(1, 2) for side in (bounds[0].lower, bounds[0].upper))
        if self.about == "values":
            return lower, upper
        above = self.sides[:, :, None] > 0
        return np.where(above, lower, -upper), np.where(above, upper, -lower)

    @property
    def _by_class(self) -> list[tuple[int, np.ndarray]]:
        """Each class that is predicted, with its samples: they have margins of their own."""
        return [(k, np.flatnonzero(self.top == k)) for k in np.unique(self.top).tolist()]

    def _bounds(self, model: Robustness, samples: np.ndarray, radii: np.ndarray, outputs: Any = None) -> Bounds:
        _, g, p = radii.shape
        centers = np.repeat(self.inputs[samples], g, axis=0)
        return model.bounds(centers, radii.reshape(-1, p), outputs=outputs, **self.options)

    def _margins_of(self, k: int) -> Robustness:
        """A model whose outputs are by how much output k is above each other one."""
        C, D, d = dense(self.model.C), dense(self.model.D), self.model.d
        others = [j for j in range(len(d)) if j != k]
        names = [self.model.output_names[j] for j in others]
        changes = {"C": C[k] - C[others], "D": D[k] - D[others], "d": d[k] - d[others]}
        return self.model._copy(**changes, link="identity", output_names=names)

    def reached(self, shares: np.ndarray) -> Reached:
        """The least and largest values that are found in the same boxes, by attacks and on a line across each."""
        radii, k = self.radii(shares), self.asked(self.predictions).shape[1]
        m, g, p = radii.shape
        values = np.multiply.outer([np.inf, -np.inf], np.ones((m, k, g)))
        inputs = np.empty((2, m, k, g, p))
        for at in self._tried(radii):
            Y = self.model.outputs(at.reshape(-1, p)).reshape(m, g, -1)
            here = np.moveaxis(self.asked(Y.swapaxes(0, 1)), 0, 2)
            for end, better in enumerate((here < values[0], here > values[1])):
                values[end] = np.where(better, here, values[end])
                inputs[end] = np.where(better[..., None], at[:, None], inputs[end])
        return Reached(*values, *inputs)

    def _tried(self, radii: np.ndarray) -> Iterator[np.ndarray]:
        """Inputs in the boxes, (m, g, p) at a time."""
        center = self.inputs[:, None]
        # The middle is among them, so that what is found is never on the wrong side.
        for step in np.linspace(-1, 1, POINTS):
            yield _within(center, radii, step)
        yield from self._attacks(radii)

    def of_own(self, inputs: np.ndarray) -> np.ndarray:
        """What is explained where each sample, output and group has inputs of its own: (m, k, g) of (m, k, g, p)."""
        Y = self.model.outputs(inputs.reshape(-1, inputs.shape[-1])).reshape(*inputs.shape[:-1], -1)
        return np.einsum("kgmk->mkg", self.asked(np.moveaxis(Y, 0, 2)))

    def nearest(self, shares: np.ndarray) -> np.ndarray:
        """Inputs of another class, each as near as was found on a line across its box: (m, k, g, p), NaN for none."""
        center, radii = self.inputs[:, None, None], self.radii(shares)[:, None]

        def at(t: np.ndarray) -> np.ndarray:
            return _within(center, radii, t[..., None])

        # From the middle outwards, to both sides in turn.
        steps = np.linspace(-1, 1, POINTS)
        steps = steps[np.argsort(np.abs(steps), kind="stable")]
        shape = (*self.asked(self.predictions).shape, shares.shape[1])
        changed = np.array([self.of_own(at(np.full(shape, t))) < 0 for t in steps])
        far = np.where(changed.any(axis=0), steps[changed.argmax(axis=0)], np.nan)
        near = far - np.sign(far) * (2 / (POINTS - 1))
        for _ in range(HALVINGS):
            middle = 0.5 * near + 0.5 * far
            other = self.of_own(at(np.nan_to_num(middle))) < 0
            near, far = np.where(other, near, middle), np.where(other, middle, far)
        return at(far)

    def _attacks(self, radii: np.ndarray) -> Iterator[np.ndarray]:
        """What attacks find in the boxes, (m, g, p) each."""
        m, g, p = radii.shape
        centers, reach = np.repeat(self.inputs, g, axis=0), radii.reshape(-1, p)
        for weights in self._weights():
            towards = np.repeat(weights, g, axis=0)
            yield self.model.attack(centers, reach, towards=towards).inputs.reshape(m, g, p)
        if self.about == "class":
            # Of several others this one goes after whichever is nearest.
            yield self.model.attack(centers, reach).inputs.reshape(m, g, p)

    def _weights(self) -> np.ndarray:
        """What attacks go towards, (n, m, q)."""
        units, m = np.eye(len(self.model.d)), len(self.inputs)
        if self.about != "class":
            rows = units[self.outputs]
            return np.repeat(np.concatenate([rows, -rows])[:, None], m, axis=1)
        over = units[self.top] - units[self.next]
        return np.stack([over, -over])

    def output_name(self, sample: int, output: int) -> str:
        """What is explained of a sample, by the name of an output or class."""
        if self.about == "class":
            return self.model.output_names[self.top[sample]]
        name = self.model.output_names[self.outputs[output]]
        return f"not {name}" if self.about == "labels" and self.sides[sample, output] < 0 else name

    def quantity(self, sample: int, output: int) -> str:
        """What the numbers of an explanation are, in words."""
        name = self.output_name(sample, output)
        return f"margin of {name}" if self.margins else f"{CALLED[self.model.link]}{name}"

    def runner_up(self, sample: int) -> str:
        """The class that comes next to that of a sample; of labels none."""
        return self.model.output_names[self.next[sample]] if self.about == "class" else ""

    def becomes(self, predictions: np.ndarray, sample: int, output: int) -> str:
        """The class that predictions (q,) are of, in the place of that of a sample."""
        names = self.model.output_names
        if self.about == "class":
            return names[int(predictions.argmax())]
        name = names[self.outputs[output]]
        return f"not {name}" if predictions[self.outputs[output]] <= 0 else name


def _within(center: np.ndarray, radii: np.ndarray, t: float | np.ndarray) -> np.ndarray:
    """Points so many radii from the middle of boxes, and never outside by rounding."""
    return np.asarray(np.clip(center + t * radii, center - radii, center + radii))

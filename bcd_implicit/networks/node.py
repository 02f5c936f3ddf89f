"""Nodes of a network: what a person puts a network together from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.networks.checks import check_fit, check_size, read_bias, read_numbers, read_weight
from bcd_implicit.networks.expression import Expression, Shape, concatenate
from bcd_implicit.networks.windows import Windows, convolution_matrix, for_axes, paddings, per_channel
from bcd_implicit.support.checks import check_flag, check_number
from bcd_implicit.terms.activation import Activation


class Node(Expression):
    """An array of values in a network, such as a layer's output, without the axis of samples.

    Linear maps, pools by means, sums, slices and joins only rewrite the node's affine rows: they cost no states.
    ``activate``, ``max_pool2d``, products of nodes and ``keep`` make states.

    Attributes
    ----------
    shape : tuple of int
        Such as (features,) or (channels, height, width).
    """

    # Weights ------------------------------------------------------------------------------------------------------

    def linear(self, weight: ArrayLike, bias: ArrayLike | None = None) -> Node:
        """Wx + b along the last axis.

        Parameters
        ----------
        weight : array-like or sparse array of shape (features out, features in)
        bias : array-like of shape (features out,), optional

        Raises
        ------
        InvalidInputError
            Shapes that do not fit.
        """
        features = self.shape[-1] if self.shape else 1
        matrix = sparse.csr_array(read_weight("weight", weight, features, self.shape))
        n_out, before = matrix.shape[0], self.size // features
        if before > 1:
            check_size(
                "weight", before * matrix.nnz, "a matrix", "The weights are written out for each position: use fewer"
            )
            matrix = sparse.csr_array(sparse.kron(sparse.eye_array(before), matrix, format="csr"))
        return self._weighed(matrix, (*self.shape[:-1], n_out), bias, np.tile(np.arange(n_out), before))

    def __rmatmul__(self, weight: ArrayLike) -> Node:
        """The product W @ x with a matrix or a vector: along the last axis but one where x has several, as in NumPy."""
        given = read_numbers("weight", weight)
        if self.ndim < 2:
            return self @ given.T
        product = self._turned() @ given.T
        return product._turned() if given.ndim > 1 else product

    def __matmul__(self, weight: ArrayLike) -> Node:
        """The product x @ W with a matrix (features in, features out) or a vector (features in,) of weights."""
        if isinstance(weight, Expression):
            raise InvalidInputError("node", "is multiplied by another node with @", "Use * for products of each value")
        given = read_numbers("weight", weight)
        if given.ndim not in (1, 2) or not self.ndim:
            cause = f"has shape {given.shape}, but the node {self.shape}"
            raise InvalidInputError("weight", cause, "Give a matrix or a vector, and use * for products of each value")
        product = self.linear(np.atleast_2d(given.T))
        return product if given.ndim == 2 else product.reshape(self.shape[:-1])

    def _turned(self) -> Node:
        """The last two axes in exchange."""
        return self.transpose(*range(self.ndim - 2), self.ndim - 1, self.ndim - 2)

    def conv1d(
        self,
        weight: ArrayLike,
        bias: ArrayLike | None = None,
        *,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | str = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> Node:
        """Convolution along the axis of (channels, length), with the options of :meth:`conv2d`."""
        return self._convolution(1, weight, bias, stride, padding, dilation, groups)

    def conv2d(
        self,
        weight: ArrayLike,
        bias: ArrayLike | None = None,
        *,
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | str = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> Node:
        """Convolution of (channels, height, width) as in deep learning: the kernel is not flipped.

        Parameters
        ----------
        weight : array-like of shape (channels out, channels in / groups, kernel height, kernel width)
        bias : array-like of shape (channels out,), optional
        stride, padding, dilation : int or sequence of int
            A number, or one for each axis. The padding may be "same", which keeps the lengths, or "valid", which is 0.
        groups : int
            Number of groups into which input and output channels are divided, each with its own weights.

        Raises
        ------
        InvalidInputError
            Shapes or options that do not fit.
        """
        return self._convolution(2, weight, bias, stride, padding, dilation, groups)

    def _convolution(
        self,
        n_axes: int,
        weight: ArrayLike,
        bias: ArrayLike | None,
        stride: int | Sequence[int],
        padding: int | Sequence[int] | str,
        dilation: int | Sequence[int],
        groups: int,
    ) -> Node:
        weight = read_numbers("weight", weight, n_axes + 2)
        self._check_axes(f"conv{n_axes}d", n_axes)
        channels, groups = len(weight), check_number("groups", groups, 1, integer=True)
        if self.shape[0] % groups:
            raise InvalidInputError("groups", f"{groups} groups do not divide {self.shape[0]} channels in")
        check_fit("weight", weight.shape[1] * groups, self.shape[0], "channels in", self.shape)
        if channels % groups:
            raise InvalidInputError("groups", f"{groups} groups do not divide {channels} channels out")
        sizes = weight.shape[2:]
        strides, dilations = for_axes("stride", stride, n_axes), for_axes("dilation", dilation, n_axes)
        options = sizes, strides, paddings(padding, sizes, strides, dilations), dilations
        axes = [Windows.along(*of_axis) for of_axis in zip(self.shape[1:], *options, strict=True)]
        shape = (channels, *(axis.n_out for axis in axes))
        owners = np.repeat(np.arange(channels), int(np.prod(shape[1:])))
        return self._weighed(convolution_matrix(weight, axes, groups), shape, bias, owners)

    def _weighed(self, matrix: sparse.csr_array, shape: Shape, bias: ArrayLike | None, owners: np.ndarray) -> Node:
        rows = self._states.before(self._rows, matrix).apply(matrix)
        if bias is not None:
            rows = rows.shifted(read_bias("bias", bias, int(owners.max()) + 1, shape)[owners])
        return self._node(rows, shape)

    def batch_norm(
        self,
        mean: ArrayLike,
        var: ArrayLike,
        weight: ArrayLike | None = None,
        bias: ArrayLike | None = None,
        eps: float = 1e-5,
    ) -> Node:
        """Batch normalisation in evaluation mode: weight (x - mean) / sqrt(var + eps) + bias, channel by channel.

        Parameters
        ----------
        mean, var, weight, bias : array-like of shape (channels,)
            For the channels of the first axis; running means and variances.
        eps : float

        Raises
        ------
        InvalidInputError
            Numbers that do not fit, or variances that are not positive.
        """
        self._check_channels("batch_norm", 0)
        eps = check_number("eps", eps)
        given = {"mean": mean, "var": var, "weight": weight, "bias": bias}
        read = {name: read_numbers(name, value, 1) for name, value in given.items() if value is not None}
        for name, value in read.items():
            check_fit(name, len(value), self.shape[0], "channels", self.shape)
        if np.any(read["var"] + eps <= 0):
            raise InvalidInputError("var", f"has {read['var'].min():g}, with eps {eps:g} not above 0", "Give variances")
        factors = read.get("weight", 1.0) / np.sqrt(read["var"] + eps)
        across = (-1,) + (1,) * (self.ndim - 1)
        return self * factors.reshape(across) + (read.get("bias", 0.0) - read["mean"] * factors).reshape(across)

    # Pools --------------------------------------------------------------------------------------------------------

    def avg_pool2d(
        self,
        size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        *,
        count_padding: bool = True,
    ) -> Node:
        """Means over windows of (channels, height, width); windows are ``size`` apart unless a stride is given.

        ``count_padding=False`` divides by the number of values inside the input.
        """
        return self._mean_pool(2, size, stride, padding, count_padding)

    def avg_pool1d(self, size: int, stride: int | None = None, padding: int = 0, *, count_padding: bool = True) -> Node:
        """Means over windows of (channels, length), as :meth:`avg_pool2d`."""
        return self._mean_pool(1, size, stride, padding, count_padding)

    def _mean_pool(self, n_axes: int, size: Any, stride: Any, padding: Any, count_padding: bool) -> Node:
        count_padding = check_flag("count_padding", count_padding)
        axes = self._windows(f"avg_pool{n_axes}d", n_axes, size, stride, padding)
        sizes = for_axes("size", size, n_axes)
        return self._averaged(
            axes, [axis.mean_matrix(k if count_padding else None) for axis, k in zip(axes, sizes, strict=True)]
        )

    def adaptive_avg_pool(self, size: int | Sequence[int]) -> Node:
        """Means over windows that divide every axis after the channels into ``size`` parts of about the same length."""
        self._check_channels("adaptive_avg_pool", 1)
        n_axes = self.ndim - 1
        axes = [Windows.adaptive(n, k) for n, k in zip(self.shape[1:], for_axes("size", size, n_axes), strict=True)]
        return self._averaged(axes, [axis.mean_matrix() for axis in axes])

    def _averaged(self, axes: Sequence[Windows], matrices: Sequence[sparse.csr_array]) -> Node:
        shape = (self.shape[0], *(axis.n_out for axis in axes))
        return self._node(self._rows.apply(per_channel(self.shape[0], matrices)), shape)

    def max_pool2d(
        self,
        size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
    ) -> Node:
        """The largest values in windows of (channels, height, width), by max(a, b) = b + relu(a - b) in pairs.

        Windows are ``size`` apart unless a stride is given. After a (monotone) activation phi, the maximum is moved
        before it, max phi(z) = phi(max z): a window of four values then costs 4 states instead of 7, with the rounding
        errors of phi.
        """
        return self._max_pool(2, size, stride, padding, dilation)

    def max_pool1d(self, size: int, stride: int | None = None, padding: int = 0, dilation: int = 1) -> Node:
        """The largest values in windows of (channels, length), as :meth:`max_pool2d`."""
        return self._max_pool(1, size, stride, padding, dilation)

    def _max_pool(self, n_axes: int, *options: Any) -> Node:
        axes = self._windows(f"max_pool{n_axes}d", n_axes, *options)
        if self._source and isinstance(self._source[0], Activation):
            function, source = self._source
            return source._max_pool(n_axes, *options).activate(function)
        pooled = self
        # Axis by axis, the last first: windows that overlap share what they have in common.
        for axis, windows in reversed([*enumerate(axes, start=1)]):
            pooled = pooled._largest_along(axis, windows.table())
        return pooled

    def _largest_along(self, axis: int, table: np.ndarray) -> Node:
        """The largest of the places that each row of a table lists, -1 for none, along an axis."""
        values = self
        while table.shape[1] > 1:
            # Pairs of columns; a place without a partner stays as it is.
            table = np.pad(table, ((0, 0), (0, table.shape[1] % 2)), constant_values=-1)
            first, second = table[:, ::2], table[:, 1::2]
            paired, single = second >= 0, (second < 0) & (first >= 0)
            pairs, of_pair = np.unique(np.stack([first[paired], second[paired]]), axis=1, return_inverse=True)
            singles, of_single = np.unique(first[single], return_inverse=True)
            table = np.full(first.shape, -1)
            table[paired], table[single] = of_pair, of_single + pairs.shape[1]
            a, b = values._along(axis, pairs[0]), values._along(axis, pairs[1])
            larger = b + (a - b).activate("relu")
            values = concatenate([larger, values._along(axis, singles)], axis) if singles.size else larger
        return values._along(axis, table[:, 0])

    def _along(self, axis: int, places: np.ndarray) -> Node:
        return self[(slice(None),) * axis + (places,)]

    def _windows(
        self, name: str, n_axes: int, size: Any, stride: Any, padding: Any, dilation: Any = 1
    ) -> list[Windows]:
        self._check_axes(name, n_axes)
        options = [for_axes("size", size, n_axes), for_axes("stride", size if stride is None else stride, n_axes)]
        options += [for_axes("padding", padding, n_axes, 0), for_axes("dilation", dilation, n_axes)]
        for k, reach in zip(options[2], options[0], strict=True):
            if 2 * k > reach:
                # More would leave windows that see nothing of the input.
                raise InvalidInputError("padding", f"{k} is more than half of the window, {reach}", "Pad less")
        return [Windows.along(*of_axis) for of_axis in zip(self.shape[1:], *options, strict=True)]

    def _check_channels(self, name: str, n_axes: int) -> None:
        """Raise an error if the node has no channels, or fewer axes behind them."""
        if self.ndim < n_axes + 1:
            wanted = "(channels, length) or more axes" if n_axes else "(channels,) or more axes"
            raise InvalidInputError(name, f"got shape {self.shape}", f"It takes {wanted}: reshape first")

    def _check_axes(self, name: str, n_axes: int) -> None:
        if self.ndim != n_axes + 1:
            wanted = ("channels", "length") if n_axes == 1 else ("channels", "height", "width")
            raise InvalidInputError(name, f"got shape {self.shape}", f"It takes ({', '.join(wanted)}): reshape first")

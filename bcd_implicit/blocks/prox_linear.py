"""Prox-linear block: (A, B, b) with the state eliminated by linearising the equilibrium.

At the equilibrium X, with slopes D_k = diag phi'(z_k), N_k = (I - D_k A)^-1 D_k, w_k = (x_k, u_k, 1) and the
residuals r_k = y_k - C x_k - D u_k - d::

    min over dT = (dA, dB, db)   1/(2m) sum_k ||r_k - C N_k dT w_k||^2 + mu/2 tr(dT H dT')
                                 + kappa sum_j ||B_j + dB_j||_2 + ridge_hidden/2 (||A + dA||^2 + ||B + dB||^2)
    s.t.  ||A + dA||_inf <= norm_bound,                H = W W'/m

The native solve of many unknowns begins with accelerated steps by a Kronecker model
(:mod:`~bcd_implicit.blocks.kronecker`), at which rough steps end, and goes on with Newton's
(:mod:`~bcd_implicit.blocks.proximal_newton`) where the certificate asks for more; that of few unknowns takes these at
once. Both work with the products dT -> gradient, of cost O(m n (n + p)). Newton's steps where unknowns are few, and
CVXPY unless there are fewer residuals than variables, take the samples and outputs together in one matrix: with
t = vec(dT), column by column, the smooth part is
1/2 t'Kt - k't + r'r/(2m),  K = 1/m sum_k (w_k w_k') kron (N_k'C'C N_k) + mu H kron I.

Here w_k and r_k occur in products of two only, so each is held times the root of its sample's weight, sqrt(omega_k),
and the means become sums.

If the groups are columns of (B; D), dD and dd are variables too: the outputs move by C N_k dT w_k + dD u_k + dd.
T then has the rows (0 | D | d) below the others, and there is no matrix K.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
from scipy.sparse import block_diag

from bcd_implicit.blocks.kronecker import approach
from bcd_implicit.blocks.linearisation import Linearisation, LinearisedFit
from bcd_implicit.blocks.matrices import MatricesBlock
from bcd_implicit.blocks.proximal_newton import minimise
from bcd_implicit.certificates.prox_linear import prox_linear_certificate
from bcd_implicit.certificates.responses import equilibrium_responses
from bcd_implicit.constraints.user import BlockVariables
from bcd_implicit.problem.formula import mean
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.checks import check_number
from bcd_implicit.support.formulas import Part, numbers

# With so few unknowns a rough solve takes Newton's steps, else so many Kronecker steps at most.
FEW_UNKNOWNS, MOST_STEPS = 450, 50
# An exact solve of so few unknowns needs no other steps.
NEWTON_ALONE = 2000
# Where the native solve's Kronecker steps end and the certificate is asked: steps that gain so little of the whole.
SHARES = (1e-2, 1e-3)


class ProxLinearBlock(MatricesBlock):
    """The matrices A, B and the intercept b at the equilibrium.

    Parameters
    ----------
    problem : TrainingProblem
    it : Iterate
        Its states are solved again first.
    mu : float, optional
        Proximal weight; by default the mean curvature of the linearised loss. It may be changed later:
        the linearisation is kept.
    """

    name = "prox-linear"
    preferred_solvers = ("SCS", "CLARABEL", "ECOS")
    options = ("mu",)

    def __init__(self, problem, it, mu=None):
        super().__init__(problem, problem.at_equilibrium(it))
        self.linearisation = Linearisation(problem, self.it)
        self.mean_curvature = self.linearisation.mean_curvature
        self.mu = self.mean_curvature if mu is None else check_number("mu", mu, 0)

    def pose(self, v):
        problem, it, n = self.problem, self.it, self.problem.n_hidden
        dAB = cp.hstack([v["A"] - it.A, v["B"] - it.B])
        # K is for centred regressors, whose intercept moves with A and B.
        db = cp.reshape(v["b"] - it.b + dAB @ self.means, (n, 1), order="F")
        dT = cp.hstack([dAB, db]) if problem.fit_intercept else dAB
        regularization, constraints = self.pose_regularization(v)
        mu = self.scalars("mu", self.mu)
        if isinstance(mu, cp.Parameter):
            # A term of its own, tr(dT H dT') = ||dT R'||_F^2 for W' = Q R.
            R = np.asarray(np.linalg.qr(self.linearisation.W.T, mode="r"))
            regularization = regularization + 0.5 * mu * cp.sum_squares(dT @ R.T)
            mu = 0.0
        # Wide data have fewer residuals than K has rows, and K is dense.
        by_residuals = problem.stacked or problem.n_samples * (n + problem.n_outputs) < dT.size
        smooth = self._pose_residuals(v, dT, mu) if by_residuals else self._pose_gram(cp.vec(dT, order="F"), mu)
        return smooth + regularization, constraints

    def _pose_gram(self, t: cp.Expression, mu: float) -> cp.Expression:
        """By K: a quadratic form reaches CLARABEL and SCS as it is, a factor would add as many rows as variables."""
        linearised = self.linearisation
        K = linearised.matrix(mu).reshape(t.size, t.size)
        # Rounding leaves eigenvalues below zero, which CVXPY's factorisation for ECOS refuses: lift them, each variable
        # in its own units.
        K = 0.5 * (K + K.T)
        K.flat[:: len(K) + 1] += 10 * len(K) * np.finfo(float).eps * np.diag(K)
        return 0.5 * cp.quad_form(t, cp.psd_wrap(K)) - linearised.k.reshape(-1, order="F") @ t + linearised.constant

    def _pose_residuals(self, v: BlockVariables, dT: cp.Expression, mu: float) -> cp.Expression:
        """By the residuals of all samples and outputs."""
        problem, it, m, roots = self.problem, self.it, self.problem.n_samples, self.linearisation.roots
        moved = dT @ self.linearisation.W
        # All J_k, as the certificate has checked them, on one diagonal: one product for CVXPY, not one a sample.
        J = block_diag(np.concatenate([J for _, J in self._responses()], axis=2).transpose(2, 0, 1), format="csr")
        changes = self.linearisation.Q @ cp.reshape(J @ cp.vec(moved, order="F"), (-1, m), order="F")
        loss = self.linearisation.loss
        if problem.stacked:
            outputs = (v["D"] - it.D) @ (problem.U * roots)
            if problem.fit_intercept:
                outputs = outputs + cp.reshape(v["d"] - it.d, (problem.n_outputs, 1), order="F") @ roots[None]
            changes = changes + (outputs if loss.scales is None else cp.multiply(loss.scales, outputs))
        miss = self.linearisation.residual - changes
        return 0.5 * (cp.sum_squares(miss) + mu * cp.sum_squares(moved)) + loss.constant

    def formula(self, shown=numbers):
        problem, whole = self.problem, super().formula(shown)
        outputs = r" + (D - \bar{D}) u_k + d - \bar{d}" if problem.stacked else ""
        b = r" + b - \bar{b}" if problem.fit_intercept else ""
        letters = frozenset(self.letters)
        model = rf"{mean(problem)} q_k(C N_k \Delta_k{outputs})"
        mu = shown("mu", self.mu)
        proximal = rf"\frac{{{mu}}}{{2}} \cdot {mean(problem)} \|\Delta_k\|_2^2"
        first = [Part("loss", model, letters, "of the linearised equilibrium")]
        first += [Part("mu", proximal, letters, "proximal term")] if mu != "0" else []
        own = {
            "q_k": r"q_k(v) = \text{the quadratic model of } \ell(\bar{f}_k + v, y_k) \text{ around } v = 0",
            "N_k": r"N_k = (I - \Phi_k \bar{A})^{-1} \Phi_k, \; \Phi_k = \mathrm{diag}\, \phi'(\bar{z}_k)",
            r"\Delta_k": rf"\Delta_k = (A - \bar{{A}}) x_k + (B - \bar{{B}}) u_k{b}, \text{{ barred: the iterate's}}",
        }
        # The same equations, where their symbols are barred or have a prime.
        also = {r"\bar{f}_k": whole.definitions["f_k"], r"\phi'": whole.definitions[r"\phi("]}
        definitions = {**own, **whole.definitions, **also}
        kept = [term for term in whole.terms if term.name not in ("loss", "fenchel_weight")]
        return replace(whole, terms=first + kept, definitions=definitions)

    def objective(self, it):
        """(T) with the equilibrium linearised, plus the proximal term."""
        problem, smooth = self.problem, self.smooth().value_and_gradient(self.joined(it))[0]
        regularization = problem.output_regularization(it) + problem.hidden_regularization(it)
        return smooth + self.linearisation.constant + regularization + problem.user_penalty(it)

    def gradient_of_groups(self, it):
        """Without the proximal term, which is the method's own and not the problem's."""
        return self.free_groups(self._fit(0.0).value_and_gradient(self.joined(it))[1])

    def smooth(self):
        return self._fit(self.mu)

    def _fit(self, mu: float) -> LinearisedFit:
        return LinearisedFit(self.linearisation, self.joined(self.it), -self.linearisation.k, mu)

    def improve(self, share):
        """On the groups that are in or near it; the others' gradients are looked at again next time.

        By Newton's steps where unknowns are few, else by Kronecker steps.
        """
        T, smooth = self.joined(self.repaired(self.last_solution or self.it)), self.smooth()
        gradient = smooth.value_and_gradient(T)[1]
        terms, columns = self.terms.on(self.terms.active(T, gradient))
        smooth, start = smooth.on(columns, T, gradient), T[:, columns]
        if start.size <= FEW_UNKNOWNS:
            T[:, columns] = minimise(smooth, terms, start, 0.0, lambda _: True, share)[0]
        else:
            T[:, columns] = approach(smooth, smooth.model(), terms, start, gradient[:, columns], share, MOST_STEPS)
        self.last_solution = self.repaired(self.parted(T))
        return self.last_solution

    def native_optimum(self, tol, met):
        """Kronecker steps, finer and finer; where these are not enough, Newton's for the last digits.

        Newton's alone where unknowns are few: they cost no more than the others would.
        """
        for share in SHARES if self.terms.ridge.size > NEWTON_ALONE else ():
            it = self.improve(share)
            if met(it):
                return it, True
        return super().native_optimum(tol, met)

    def certificate(self, it):
        return prox_linear_certificate(self.problem, self.it, it, self.mu, self._responses)

    @cached_property
    def _responses(self):
        """The certificate's own view of the linearisation: it checks the solver's before it uses it."""
        return equilibrium_responses(self.problem, self.it, self.linearisation.kept)

"""Certificates: how far a block's point is from optimal, recomputed from the data alone.

No function here looks at what a solver said, and none shares code with the solves: gradients are formed from the
samples, never from a Gram matrix that a solve used. Every duality gap is an upper bound on
objective(point) - optimum of the block; the joint problem is not convex, so nothing is said about it.

All gaps come from one inequality. With h the nonsmooth part (row sets of A, group lasso, ridge) and V a dual point of
the data term f at T' (the point with its intercept re-solved, so that unpenalised b costs nothing)::

    optimum >= -f*(s V) - h*(-s G),    G = V W' the gradient,  0 <= s <= 1,

where s scales V into the domain of h* when there is no ridge to make h* finite everywhere.

Means over samples are weighted: omega_k, the share of sample k, is 1/m without weights.
"""

from bcd_implicit.certificates.certificate import Certificate
from bcd_implicit.certificates.hidden import hidden_certificate
from bcd_implicit.certificates.output import output_certificate
from bcd_implicit.certificates.prox_linear import prox_linear_certificate
from bcd_implicit.certificates.responses import equilibrium_responses
from bcd_implicit.certificates.state import state_certificate

__all__ = [
    "Certificate",
    "equilibrium_responses",
    "hidden_certificate",
    "output_certificate",
    "prox_linear_certificate",
    "state_certificate",
]

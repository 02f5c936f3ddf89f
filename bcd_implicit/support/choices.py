"""The names that the command line offers, without what they stand for.

An option lists its choices and refuses any other before NumPy, SciPy, scikit-learn or CVXPY is imported. The rooms hold
the functions and objects behind the names, in mappings; tests compare the names of those with the names here.
"""

from __future__ import annotations

from typing import Literal

# Each lets the block choose its solver. native: the blocks' own, in their files, which know nothing of a user's
# constraints (where one acts, CVXPY takes over). cvxpy: the conic solver that serves the block best, and another when
# the certificate is missed. auto: native, then cvxpy where that misses the tolerance.
AUTO, NATIVE, CVXPY = SOLVER_CHOICES = ("auto", "native", "cvxpy")
SOLVERS = ("CLARABEL", "ECOS", "SCS")
METHODS = ("prox-linear", "fenchel", "gradient")
ACTIVATIONS = (
    *("relu", "leaky_relu", "clip", "identity", "soft_threshold"),
    *("tanh", "sigmoid", "softplus", "elu", "arctan", "softsign"),
)
LOSSES = ("squared", "huber", "absolute", "quantile", "logistic", "cross-entropy", "poisson")
GROUP_FORMS = ("penalty", "constraint")
WELL_POSEDNESS = ("inf-norm", "measure")
RULES = ("min", "paired-one-se", "one-se", "bic", "ebic", "plateau", "gap", "stability")
DEFAULT_RULE, DEFAULT_LEVEL = "min", 0.05
#: Stands for the default level where a rule chooses, and for no test where the number of inputs is given.
AUTO_LEVEL: Literal["auto"] = "auto"
NETWORKS = ("lenet5", "mlp", "rnn", "lstm")
#: Of the feature-selection experiment: its data, and how many hidden features it guesses.
FAMILIES, N_HIDDEN_GUESS = ("column-sparse", "even"), 10
#: Of the experiment on convergence.
CONVERGENCE_LOSSES = ("squared", "cross-entropy")

"""The sizes of the problems, in a module that imports nothing: what only hands out tests need not load the package."""

# n hidden, p inputs, q outputs, m samples: small, wide (p > m), one hidden feature, many outputs, long.
SIZES = [(1, 1, 1, 5), (1, 30, 2, 20), (3, 4, 2, 30), (5, 8, 20, 40), (8, 6, 3, 40), (4, 10, 1, 100)]
# So wide that CVXPY gets the prox-linear block by its residuals. For comparisons with CLARABEL: whether SCS, of first
# order, meets a gap of 1e-6 at this size depends on the kernel of BLAS.
WIDEST = (3, 30, 2, 12)

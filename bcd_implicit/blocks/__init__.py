"""The convex blocks: each as a CVXPY problem and as a native solve, in one file."""

from bcd_implicit.blocks.live import block_problem
from bcd_implicit.blocks.solution import BlockSolution
from bcd_implicit.blocks.solve import BLOCKS, make_block, solve_block

__all__ = ["BLOCKS", "BlockSolution", "block_problem", "make_block", "solve_block"]

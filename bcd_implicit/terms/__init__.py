"""The convex pieces of the problem: activations, losses, groups and their norms, penalties, projections."""

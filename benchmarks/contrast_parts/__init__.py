"""What contrast.py is made of: the problems, the ways to train, the clock, and the report."""

"""Experiments, end to end."""

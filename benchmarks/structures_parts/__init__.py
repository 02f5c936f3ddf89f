"""The parts of benchmarks/structures.py: its tables, and what is compared on them."""

"""The parts of benchmarks/field.py: its tables, methods, judges and report."""

"""The data sets, the methods and the report of when_to_use.py."""

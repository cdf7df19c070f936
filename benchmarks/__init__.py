"""Measurements of the library beside other ways to do the same: ``make bench``, or ``python -m benchmarks``."""

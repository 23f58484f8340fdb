"""Plausible faults, put in one at a time, to see which tests notice them."""

"""Advice on sharing models for another data set, from the results of finished sweeps. Imports no torch."""

"""Attacks that are tried for real: each test fails where its defence is taken away."""

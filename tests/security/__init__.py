"""Attacks that are really carried out: each test fails if the defense against its attack is removed."""

"""Random numbers that depend on what they are for, not on what was drawn before."""

import hashlib

import numpy as np


def derived_seed(*parts: str | int) -> int:
    """A seed in [0, 2**63) that is a function of the parts alone; parts differ in kind and place."""
    digest = hashlib.sha256("\0".join(f"{type(part).__name__}:{part}" for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(*parts: str | int) -> np.random.Generator:
    """A numpy generator for one purpose, such as ("ranking", task id, seed)."""
    return np.random.default_rng(derived_seed(*parts))

"""Random numbers that depend only on their purpose, not on earlier draws."""

import hashlib

import numpy as np


def derive_seed(*purpose: str | int) -> int:
    """Return a seed in [0, 2**63) that depends only on the purpose: its values, their types and their order."""
    # The type is part of the text, so that the task "1" and the seed 1 give different random numbers.
    digest = hashlib.sha256("\0".join(f"{type(item).__name__}:{item}" for item in purpose).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1  # 63 bits: torch does not accept seeds of 64 bits


def make_generator(*purpose: str | int) -> np.random.Generator:
    """Return a numpy generator for one purpose, such as ("ranking", task id, seed)."""
    return np.random.default_rng(derive_seed(*purpose))

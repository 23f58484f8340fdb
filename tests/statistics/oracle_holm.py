"""Holm's adjusted p values from the definition, by closed testing, and some that statsmodels computed.

`python -m tests.statistics.oracle_holm` computes RECORDED again. Tests do not call statsmodels itself: its
`multipletests` collects the garbage of the whole process at each call, which takes half a second once torch is loaded.
"""

from collections.abc import Sequence
from itertools import combinations

RECORDED = (
    ((0.01, 0.04, 0.03), (0.03, 0.06, 0.06)),
    ((0.5,), (0.5,)),
    ((0.0, 1.0, 0.2, 0.2), (0.0, 1.0, 0.6, 0.6)),
    ((0.013, 0.001, 0.9, 0.04, 0.011, 0.6, 0.025), (0.066, 0.007, 1.0, 0.12, 0.066, 1.0, 0.1)),
    ((0.3, 0.3, 0.3, 0.3), (1.0, 1.0, 1.0, 1.0)),
)
"""Pairs of p values and their adjustment by `multipletests(p, method="holm")` (statsmodels 0.15.0)."""


def closed_holm(p: Sequence[float]) -> list[float]:
    """Return the adjusted p values of Holm's procedure, which is Bonferroni's test of every intersection.

    A hypothesis is rejected at a level if all intersections that it belongs to are: its adjusted p value is the largest
    Bonferroni p value of a subset that holds it. Time grows as 2^n: meant for n up to 8.
    """
    adjusted = [0.0] * len(p)
    for size in range(1, len(p) + 1):
        for subset in combinations(range(len(p)), size):
            bonferroni = min(1.0, size * min(p[i] for i in subset))
            for i in subset:
                adjusted[i] = max(adjusted[i], bonferroni)
    return adjusted


if __name__ == "__main__":
    from statsmodels.stats.multitest import multipletests

    for values, _ in RECORDED:
        print(f"    ({values}, {tuple(float(x) for x in multipletests(values, method='holm')[1])}),")

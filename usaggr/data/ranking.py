"""The order in which a task's training samples are used: a scale takes the first n of it, so scales nest.

Classes are interleaved in proportion and samples of a component stay side by side, so that a small scale is a small
study: fewer patients, with the same share of each class.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from usaggr.data.seeds import generator


@dataclass(frozen=True)
class Ranked:
    """A training sample as the ranking sees it."""

    sample_id: str
    component: int
    stratum: int
    """Class, or 0 where the task has none."""


def rank_samples(task_id: str, samples: Sequence[Ranked], seed: int) -> tuple[str, ...]:
    """Ids of a task's training samples in rank order, drawn by (task, seed) alone.

    The first components bring one of each class, the smallest first, so that small scales hold them all; from there
    on, the class that is furthest behind its share is next.
    """
    rng = generator("ranking", task_id, seed)
    members: dict[int, list[Ranked]] = defaultdict(list)
    for sample in sorted(samples, key=lambda s: s.sample_id):
        members[sample.component].append(sample)
    drawn = [components for _, components in sorted(members.items(), key=lambda item: item[1][0].sample_id)]
    drawn = [drawn[i] for i in rng.permutation(len(drawn))]
    total = Counter(s.stratum for s in samples)
    order = _cover_of_classes(drawn, total)
    taken = Counter(s.stratum for component in order for s in component)
    chosen = {id(component) for component in order}
    queues: dict[int, list[list[Ranked]]] = {stratum: [] for stratum in sorted(total)}
    for component in reversed(drawn):
        if id(component) not in chosen:
            queues[_main_stratum(component, total)].append(component)
    while any(queues.values()):
        stratum = min((s for s in queues if queues[s]), key=lambda s: (taken[s] / total[s], s))
        component = queues[stratum].pop()
        order.append(component)
        taken.update(s.stratum for s in component)
    return tuple(s.sample_id for component in order for s in _shuffled(component, rng))


def scale_count(scale: float | int, strata: Sequence[int]) -> int:
    """How many samples a scale takes of a ranking whose classes are given in rank order.

    A fraction takes round(f N) (half up), a cap min(cap, N); always enough to hold each class once, and at least one.
    """
    wanted = min(scale, len(strata)) if isinstance(scale, int) else int(np.floor(scale * len(strata) + 0.5))
    first_of_class = {stratum: place for place, stratum in reversed(list(enumerate(strata, start=1)))}
    return max(wanted, *first_of_class.values()) if first_of_class else 0


def _cover_of_classes(drawn: list[list[Ranked]], total: Counter[int]) -> list[list[Ranked]]:
    """A few small components that hold every class, rarest class first."""
    cover: list[list[Ranked]] = []
    covered: set[int] = set()
    for stratum in sorted(total, key=lambda s: (total[s], s)):
        if stratum not in covered:
            holders = [component for component in drawn if any(s.stratum == stratum for s in component)]
            cover.append(min(holders, key=len))
            covered.update(s.stratum for s in cover[-1])
    return cover


def _main_stratum(component: list[Ranked], total: Counter[int]) -> int:
    """The most frequent class of a component; among equals the one that is rarer in the task."""
    counts = Counter(s.stratum for s in component)
    return max(counts, key=lambda s: (counts[s], -total[s], -s))


def _shuffled(component: list[Ranked], rng: np.random.Generator) -> list[Ranked]:
    return [component[i] for i in rng.permutation(len(component))]

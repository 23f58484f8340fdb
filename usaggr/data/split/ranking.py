"""The order in which a task's training samples are used: a scale takes the first n of it, so scales nest.

Classes are interleaved in proportion and samples of a component stay side by side, so that a small scale is a small
study: fewer patients, with the same share of each class.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from usaggr.data.seeds import generator


@dataclass(frozen=True, slots=True)
class Ranked:
    """A training sample as the ranking sees it."""

    sample_id: str
    component: int
    stratum: int
    """Class, or 0 where the task has none."""


@dataclass(frozen=True, slots=True)
class _Component:
    """Samples that stay side by side."""

    sample_ids: tuple[str, ...]
    counts: tuple[tuple[int, int], ...]
    """Class and number of its samples."""
    main: int
    """The most frequent class; among equals the one that is rarer in the task."""


class Ranker:
    """Draws a task's rankings: what they have in common, whatever the seed, is found out once."""

    def __init__(self, task_id: str, samples: Iterable[Ranked]) -> None:
        self.task_id = task_id
        members: dict[int, list[Ranked]] = defaultdict(list)
        for sample in sorted(samples, key=lambda s: s.sample_id):
            members[sample.component].append(sample)
        self._total = Counter(s.stratum for component in members.values() for s in component)
        self._components = [self._component(component) for component in members.values()]
        self._shortest: dict[int, list[int]] = {}
        """By class: the components that hold it with the fewest samples."""
        for stratum in self._total:
            holders = [i for i, c in enumerate(self._components) if any(s == stratum for s, _ in c.counts)]
            least = min(len(self._components[i].sample_ids) for i in holders)
            self._shortest[stratum] = [i for i in holders if len(self._components[i].sample_ids) == least]

    def ranking(self, seed: int) -> tuple[str, ...]:
        """Ids of the task's training samples in rank order, drawn by (task, seed) alone.

        The first components bring one of each class, the smallest first, so that small scales hold them all; from
        there on, the class that is furthest behind its share is next.
        """
        rng = generator("ranking", self.task_id, seed)
        drawn: list[int] = rng.permutation(len(self._components)).tolist()
        cover = self._cover_of_classes(drawn)
        chosen = set(cover)
        rest = [i for i in drawn if i not in chosen]
        ranked: list[str] = []
        for i in cover + (rest if len(self._total) == 1 else self._interleaved(cover, rest)):
            ids = list(self._components[i].sample_ids)
            if len(ids) > 1:
                rng.shuffle(ids)  # the draws of rng.permutation, without an array for a few ids
            ranked += ids
        return tuple(ranked)

    def _component(self, samples: Sequence[Ranked]) -> _Component:
        counts = Counter(s.stratum for s in samples)
        main = max(counts, key=lambda s: (counts[s], -self._total[s], -s))
        return _Component(tuple(s.sample_id for s in samples), tuple(counts.items()), main)

    def _cover_of_classes(self, drawn: Sequence[int]) -> list[int]:
        """A few small components that hold every class, rarest class first."""
        place = {component: i for i, component in enumerate(drawn)}
        cover: list[int] = []
        covered: set[int] = set()
        for stratum in sorted(self._total, key=lambda s: (self._total[s], s)):
            if stratum not in covered:
                cover.append(min(self._shortest[stratum], key=place.__getitem__))
                covered.update(s for s, _ in self._components[cover[-1]].counts)
        return cover

    def _interleaved(self, cover: Sequence[int], rest: Sequence[int]) -> list[int]:
        """The components after the cover: the next one is of the class that is furthest behind its share."""
        taken = dict.fromkeys(self._total, 0)
        for i in cover:
            for stratum, n in self._components[i].counts:
                taken[stratum] += n
        queues: dict[int, list[int]] = {stratum: [] for stratum in self._total}
        for i in reversed(rest):
            queues[self._components[i].main].append(i)
        share = {stratum: n / self._total[stratum] for stratum, n in taken.items()}
        waiting = sorted(stratum for stratum, queue in queues.items() if queue)
        order: list[int] = []
        while len(waiting) > 1:
            stratum = min(waiting, key=share.__getitem__)  # among equals the first
            order.append(queues[stratum].pop())
            for other, n in self._components[order[-1]].counts:
                taken[other] += n
                share[other] = taken[other] / self._total[other]
            if not queues[stratum]:
                waiting.remove(stratum)
        for stratum in waiting:
            order.extend(reversed(queues[stratum]))
        return order


def rank_samples(task_id: str, samples: Sequence[Ranked], seed: int) -> tuple[str, ...]:
    """Ids of a task's training samples in rank order, drawn by (task, seed) alone."""
    return Ranker(task_id, samples).ranking(seed)


def scale_count(scale: float | int, strata: Sequence[int]) -> int:
    """How many samples a scale takes of a ranking whose classes are given in rank order.

    A fraction takes round(f N) (half up), a cap min(cap, N); always enough to hold each class once, and at least one.
    """
    return count_of_scale(scale, len(strata), cover_size(strata))


def cover_size(strata: Sequence[int]) -> int:
    """How many samples hold each class once, of a ranking whose classes are given in rank order."""
    return max((strata.index(stratum) + 1 for stratum in set(strata)), default=0)


def count_of_scale(scale: float | int, samples: int, cover: int) -> int:
    """How many samples a scale takes of a ranking of so many, the first `cover` of which hold each class."""
    wanted = min(scale, samples) if isinstance(scale, int) else int(np.floor(scale * samples + 0.5))
    return max(wanted, cover)

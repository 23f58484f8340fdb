"""The order in which a task's training samples are used: a scale takes the first n of it, so scales nest.

Classes are interleaved in proportion, and samples of a component are adjacent. A small scale therefore resembles a
small study: it has fewer patients, and the same share of each class.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from usaggr.data.seeds import make_generator


@dataclass(frozen=True, slots=True)
class TrainingSample:
    """The properties of a training sample that its rank depends on."""

    sample_id: str
    component: int
    stratum: int
    """Class; 0 for tasks without classes."""


@dataclass(frozen=True, slots=True)
class _Component:
    """Samples that are adjacent in every ranking."""

    sample_ids: tuple[str, ...]
    counts: tuple[tuple[int, int], ...]
    """Pairs of class and number of its samples."""
    main_class: int
    """The most frequent class; of equally frequent ones, the one that is rarer in the task."""


class Ranker:
    """Rankings of one task's training samples; what does not depend on the seed is computed once."""

    def __init__(self, task_id: str, samples: Iterable[TrainingSample]) -> None:
        self.task_id = task_id
        members: dict[int, list[TrainingSample]] = defaultdict(list)
        # Sorted, so that a ranking does not depend on the order in which the index names the samples.
        for sample in sorted(samples, key=lambda s: s.sample_id):
            members[sample.component].append(sample)
        self._class_totals = Counter(s.stratum for component in members.values() for s in component)
        self._components = [self._make_component(component) for component in members.values()]
        self._smallest_holders: dict[int, list[int]] = {}
        """Indices of the components with the fewest samples among those that hold a class, by class."""
        for label in self._class_totals:
            holders = [i for i, c in enumerate(self._components) if any(name == label for name, _ in c.counts)]
            least = min(len(self._components[i].sample_ids) for i in holders)
            self._smallest_holders[label] = [i for i in holders if len(self._components[i].sample_ids) == least]

    def rank(self, seed: int) -> tuple[str, ...]:
        """Return the ids of the task's training samples in rank order, drawn by the task and the seed alone.

        The first components hold one sample of each class, so that small scales have all classes. After them, the next
        component is of the class that is furthest behind its share.
        """
        rng = make_generator("ranking", self.task_id, seed)
        drawn: list[int] = rng.permutation(len(self._components)).tolist()
        cover = self._cover_classes(drawn)
        covering = set(cover)
        remaining = [i for i in drawn if i not in covering]
        ranked: list[str] = []
        for i in cover + (remaining if len(self._class_totals) == 1 else self._interleave(cover, remaining)):
            ids = list(self._components[i].sample_ids)
            if len(ids) > 1:
                rng.shuffle(ids)  # the draws of rng.permutation, without an array for a few ids
            ranked += ids
        return tuple(ranked)

    def _make_component(self, samples: Sequence[TrainingSample]) -> _Component:
        counts = Counter(s.stratum for s in samples)
        main_class = max(counts, key=lambda label: (counts[label], -self._class_totals[label], -label))
        return _Component(tuple(s.sample_id for s in samples), tuple(counts.items()), main_class)

    def _cover_classes(self, drawn: Sequence[int]) -> list[int]:
        """Return a few small components that together hold every class; the rarest class is covered first.

        Rare classes first, because their components often hold a frequent class as well.
        """
        position = {component: i for i, component in enumerate(drawn)}
        cover: list[int] = []
        covered: set[int] = set()
        for label in sorted(self._class_totals, key=lambda label: (self._class_totals[label], label)):
            if label not in covered:
                cover.append(min(self._smallest_holders[label], key=position.__getitem__))
                covered.update(name for name, _ in self._components[cover[-1]].counts)
        return cover

    def _interleave(self, cover: Sequence[int], remaining: Sequence[int]) -> list[int]:
        """Order the components after the cover: the next one is of the class furthest behind its share.

        Args:
            cover: components that are ranked first.
            remaining: the other components, in the order that the seed has drawn.
        """
        used = dict.fromkeys(self._class_totals, 0)
        for i in cover:
            for label, n in self._components[i].counts:
                used[label] += n
        queues: dict[int, list[int]] = {label: [] for label in self._class_totals}
        for i in reversed(remaining):  # pop() below takes from the end
            queues[self._components[i].main_class].append(i)
        share = {label: n / self._class_totals[label] for label, n in used.items()}
        waiting = sorted(label for label, queue in queues.items() if queue)
        order: list[int] = []
        while len(waiting) > 1:
            behind = min(waiting, key=share.__getitem__)  # of equal shares, the lowest class
            order.append(queues[behind].pop())
            for label, n in self._components[order[-1]].counts:
                used[label] += n
                share[label] = used[label] / self._class_totals[label]
            if not queues[behind]:
                waiting.remove(behind)
        for label in waiting:
            order.extend(reversed(queues[label]))
        return order


def count_cover(strata: Sequence[int]) -> int:
    """Return the number of samples, from the start of a ranking, that hold each class at least once.

    `strata` are the classes of the ranking's samples in rank order.
    """
    return max((strata.index(stratum) + 1 for stratum in set(strata)), default=0)


def count_at_scale(scale: float | int, samples: int, cover: int) -> int:
    """Return the number of samples that a scale takes from the start of a ranking.

    A fraction f takes round(f N) samples, half rounded up; a cap takes min(cap, N). Both take at least the cover.

    Args:
        scale: fraction of the samples in (0, 1] if it is a float, cap on their number if it is an integer.
        samples: number N of samples in the ranking.
        cover: number of samples from its start that hold each class, as `count_cover` returns it.
    """
    # Not round(): it rounds half to even, so that 2.5 samples would be 2 and 3.5 samples 4.
    scaled = min(scale, samples) if isinstance(scale, int) else int(np.floor(scale * samples + 0.5))
    return max(scaled, cover)

"""Ranking of a task's training samples: a scale takes the first n of them, so each scale contains the smaller ones.

Classes are interleaved in proportion, and the samples of a component are adjacent. A small scale therefore resembles a
small study: it has fewer patients, but the same share of each class.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
    """Number of samples of each class, as pairs of class and number."""
    main_class: int
    """The most frequent class; of equally frequent ones, the one that is rarer in the task."""


class Ranker:
    """Ranks the training samples of one task; what all seeds have in common is computed only once."""

    def __init__(self, task_id: str, samples: Iterable[TrainingSample]) -> None:
        self.task_id = task_id
        members: dict[int, list[TrainingSample]] = defaultdict(list)
        # Sorted, so that a ranking does not depend on the order of rows in the index.
        for sample in sorted(samples, key=lambda s: s.sample_id):
            members[sample.component].append(sample)
        self._class_totals = Counter(s.stratum for component in members.values() for s in component)
        self._components = [self._make_component(component) for component in members.values()]
        self._smallest_components = {label: self._find_smallest_components(label) for label in self._class_totals}

    def rank(self, seed: int) -> tuple[str, ...]:
        """Return the ids of the task's training samples in rank order, which depends on their classes and the seed.

        The first components (the cover) contain a sample of each class, so that small scales have all classes. After
        them, the next component is always of the class that is furthest behind its share.
        """
        rng = make_generator("ranking", self.task_id, seed)
        drawn_order: list[int] = rng.permutation(len(self._components)).tolist()
        cover = self._cover_classes(drawn_order)
        cover_set = set(cover)
        remaining = [i for i in drawn_order if i not in cover_set]
        if len(self._class_totals) > 1:
            remaining = self._interleave(cover, remaining)
        ranked: list[str] = []
        for i in cover + remaining:
            ids = list(self._components[i].sample_ids)
            if len(ids) > 1:
                rng.shuffle(ids)  # draws the same numbers as rng.permutation, but makes no array of a few ids
            ranked += ids
        return tuple(ranked)

    def _make_component(self, samples: Sequence[TrainingSample]) -> _Component:
        counts = Counter(s.stratum for s in samples)
        main_class = max(counts, key=lambda label: (counts[label], -self._class_totals[label], -label))
        return _Component(tuple(s.sample_id for s in samples), tuple(counts.items()), main_class)

    def _find_smallest_components(self, label: int) -> list[int]:
        """Return the components with the fewest samples among those that contain a class."""
        sizes = {i: len(c.sample_ids) for i, c in enumerate(self._components) if label in dict(c.counts)}
        smallest = min(sizes.values())
        return [i for i, size in sizes.items() if size == smallest]

    def _cover_classes(self, drawn_order: Sequence[int]) -> list[int]:
        """Return a few small components that together contain every class.

        The rarest class is covered first, because its component often contains a frequent class as well.

        Args:
            drawn_order: all components, in the order that the seed has drawn.
        """
        positions = {component: i for i, component in enumerate(drawn_order)}
        cover: list[int] = []
        covered: set[int] = set()
        for label in sorted(self._class_totals, key=lambda label: (self._class_totals[label], label)):
            if label not in covered:
                cover.append(min(self._smallest_components[label], key=positions.__getitem__))
                covered.update(name for name, _ in self._components[cover[-1]].counts)
        return cover

    def _interleave(self, cover: Sequence[int], remaining: Sequence[int]) -> list[int]:
        """Return the components after the cover in order: the next one is of the class furthest behind its share.

        Args:
            cover: components that are ranked before.
            remaining: the other components, in the order that the seed has drawn.
        """
        ranked_counts = dict.fromkeys(self._class_totals, 0)
        for i in cover:
            for label, n in self._components[i].counts:
                ranked_counts[label] += n
        queues: dict[int, list[int]] = {label: [] for label in self._class_totals}
        for i in reversed(remaining):  # pop() below takes from the end
            queues[self._components[i].main_class].append(i)
        ranked_shares = {label: n / self._class_totals[label] for label, n in ranked_counts.items()}
        unfinished = sorted(label for label, queue in queues.items() if queue)
        order: list[int] = []
        while len(unfinished) > 1:
            furthest_behind = min(unfinished, key=ranked_shares.__getitem__)  # of equal shares, the lowest class
            component = queues[furthest_behind].pop()
            order.append(component)
            for label, n in self._components[component].counts:
                ranked_counts[label] += n
                ranked_shares[label] = ranked_counts[label] / self._class_totals[label]
            if not queues[furthest_behind]:
                unfinished.remove(furthest_behind)
        for label in unfinished:  # a single class remains, whose order is already drawn
            order.extend(reversed(queues[label]))
        return order


def count_cover(strata: Sequence[int]) -> int:
    """Return how many samples from the start of a ranking are needed to have each class at least once.

    `strata` are the classes of the ranking's samples in rank order.
    """
    return max((strata.index(stratum) + 1 for stratum in set(strata)), default=0)

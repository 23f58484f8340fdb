"""The one split: train, val and test by component, as even as possible for each task and class.

A sample's fold depends on the data and the split's seed alone: not on the order of files, nor on which tasks share a
model. Components are placed one by one, the largest first, where they bring the counts nearest to the wanted ones
(iterative stratification, Sechidis et al. 2011, over groups); then single moves and exchanges mend what is left.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from usaggr.config.study import SplitConfig
from usaggr.data.samples import Dataset, Sample
from usaggr.data.split.components import components_of
from usaggr.errors import DataError
from usaggr.results.split import SUBSETS, Subset

Stratum = tuple[str, int]
"""Task and class: what is kept in proportion."""

EXCHANGE_LIMIT = 150
"""Exchanges are tried among so many components at the most: where there are more, single moves are fine enough."""


@dataclass(frozen=True)
class Split:
    """Component and fold of each sample of a data set, in the data set's order."""

    components: tuple[int, ...]
    subsets: tuple[Subset | None, ...]
    """None where `conflict: drop_train` took a sample out."""

    @property
    def dropped(self) -> int:
        """Samples that belong to no fold."""
        return sum(fold is None for fold in self.subsets)


def split_dataset(dataset: Dataset, config: SplitConfig) -> Split:
    """Subset of every sample, over all tasks of the data set.

    Raises:
        DataError: an official split cuts a component, and `config.conflict` is `error`.
    """
    components = components_of(dataset.samples)
    members: dict[int, list[Sample]] = defaultdict(list)
    for component, sample in zip(components, dataset.samples, strict=True):
        members[component].append(sample)
    official, removed = _official_folds(members, config)
    free = {c: Counter((s.task_id, s.stratum) for s in samples) for c, samples in members.items() if c not in official}
    fixed = [
        (fold, Counter((s.task_id, s.stratum) for s in members[component] if s.official_subset in (fold, None)))
        for component, fold in official.items()
    ]
    order = sorted(free, key=lambda c: (-free[c].total(), _lot(members[c], config.seed)))
    placed = _place({c: free[c] for c in order}, fixed, config.fractions)
    folds = {**official, **placed}
    return Split(
        tuple(components),
        tuple(None if id(s) in removed else folds[c] for c, s in zip(components, dataset.samples, strict=True)),
    )


def _official_folds(members: dict[int, list[Sample]], config: SplitConfig) -> tuple[dict[int, Subset], set[int]]:
    """Folds of the components that an official split speaks of, and the (ids of) samples that it forces out."""
    official: dict[int, Subset] = {}
    removed: set[int] = set()
    cut: list[str] = []
    for component, samples in members.items():
        named = {s.official_subset for s in samples if s.official_subset is not None}
        if not named:
            continue
        # The later side of the way train -> val -> test stays: what is scored must not have been trained on.
        fold = max((fold for fold in SUBSETS if fold in named), key=SUBSETS.index)
        official[component] = fold
        if len(named) > 1:
            cut.append(_describe_cut(samples))
            removed.update(id(s) for s in samples if s.official_subset not in (fold, None))
    if cut and config.conflict == "error":
        listed = "\n  ".join(cut[:20]) + (f"\n  ... and {len(cut) - 20} more" if len(cut) > 20 else "")
        raise DataError(
            f"the index's column split cuts {len(cut)} component(s): same image or subject in two folds; mend the "
            f"index or set data.split.conflict=drop_train to leave out their training side:\n  {listed}"
        )
    _carve_validation(official, members, config)
    return official, removed


def _describe_cut(samples: Iterable[Sample]) -> str:
    firsts: dict[str, Sample] = {}
    for s in samples:
        if s.official_subset is not None:
            firsts.setdefault(s.official_subset, s)
    return "; ".join(f"{fold}: {s.csv_file}, line {s.row}, {s.sample_id}" for fold, s in sorted(firsts.items()))


def _carve_validation(official: dict[int, Subset], members: dict[int, list[Sample]], config: SplitConfig) -> None:
    """Where an official split of a task knows no validation fold, take one from its training components."""
    with_val = {s.task_id for c, fold in official.items() if fold == "val" for s in members[c]}
    lacking = {
        c: Counter((s.task_id, s.stratum) for s in members[c])
        for c, fold in official.items()
        if fold == "train" and not any(s.task_id in with_val for s in members[c])
    }
    if not lacking:
        return
    train, val = config.fractions[0], config.fractions[1]
    order = sorted(lacking, key=lambda c: (-lacking[c].total(), _lot(members[c], config.seed)))
    shares = [train / (train + val), val / (train + val), 0.0]
    official.update(_place({c: lacking[c] for c in order}, [], shares))


def _lot(samples: Sequence[Sample], seed: int) -> str:
    """A component's place among those of its size: drawn by the seed, from what the component is."""
    name = min((s.task_id, s.sample_id) for s in samples)
    return hashlib.sha256(f"{seed}\0{name[0]}\0{name[1]}".encode()).hexdigest()


_Parts = Sequence[tuple[Stratum, int]]
"""A component's samples of each class and of each task as a whole: looked at again and again, so made once."""


class _Balance:
    """Counts of each stratum in each fold against the wanted ones; the fault is a sum of squared relative gaps."""

    def __init__(self, counts: Iterable[Counter[Stratum]], fractions: Sequence[float]) -> None:
        total: Counter[Stratum] = Counter()
        for count in counts:
            total.update(count)
        self.wanted = {s: [n * fraction for fraction in fractions] for s, n in _with_tasks(total)}
        self.have = {s: [0] * len(fractions) for s in self.wanted}

    def add(self, parts: _Parts, fold: int, sign: int = 1) -> None:
        for stratum, n in parts:
            self.have[stratum][fold] += sign * n

    def change(self, parts: _Parts, fold: int, sign: int) -> float:
        """By how much the fault grows when these samples enter (+1) or leave (-1) a fold."""
        growth = 0.0
        for stratum, n in parts:
            wanted = self.wanted[stratum][fold]
            gap = self.have[stratum][fold] - wanted
            growth += ((gap + sign * n) ** 2 - gap**2) / max(wanted, 1e-9)
        return growth


def _with_tasks(count: Counter[Stratum]) -> Iterator[tuple[Stratum, int]]:
    """The strata, and each task as a whole (class -1), so that a task's size is even where its classes cannot be."""
    tasks: Counter[str] = Counter()
    for (task_id, stratum), n in count.items():
        tasks[task_id] += n
        yield (task_id, stratum), n
    for task_id, n in tasks.items():
        yield (task_id, -1), n


def _place(
    free: dict[int, Counter[Stratum]], fixed: Sequence[tuple[Subset, Counter[Stratum]]], fractions: Sequence[float]
) -> dict[int, Subset]:
    """Subset of each free component, given the components whose fold is fixed."""
    balance = _Balance([*free.values(), *(count for _, count in fixed)], fractions)
    for fold, count in fixed:
        balance.add(tuple(_with_tasks(count)), SUBSETS.index(fold))
    components = {component: tuple(_with_tasks(count)) for component, count in free.items()}
    allowed = [f for f, fraction in enumerate(fractions) if fraction > 0]
    where: dict[int, int] = {}
    for component, parts in components.items():
        where[component] = min(allowed, key=lambda f: balance.change(parts, f, 1))
        balance.add(parts, where[component])
    while _move(components, where, balance, allowed) or _exchange(components, where, balance):
        pass
    return {component: SUBSETS[fold] for component, fold in where.items()}


def _move(free: Mapping[int, _Parts], where: dict[int, int], balance: _Balance, allowed: list[int]) -> bool:
    """Move single components while that lessens the fault; whether anything moved."""
    moved = False
    for component, parts in free.items():
        old = where[component]
        leaving = balance.change(parts, old, -1)
        new = min((f for f in allowed if f != old), key=lambda f: balance.change(parts, f, 1), default=old)
        if new != old and leaving + balance.change(parts, new, 1) < -1e-9:
            balance.add(parts, old, -1)
            balance.add(parts, new)
            where[component] = new
            moved = True
    return moved


def _exchange(free: Mapping[int, _Parts], where: dict[int, int], balance: _Balance) -> bool:
    """Exchange two components of a task between two folds where that lessens the fault; whether any were.

    Only the largest components are tried: small ones are placed well by moves alone.
    """
    exchanged = False
    large = list(free)[:EXCHANGE_LIMIT]
    for i, a in enumerate(large):
        for b in large[i + 1 :]:
            fold_a, fold_b = where[a], where[b]
            if fold_a == fold_b or {t for t, _ in free[a]}.isdisjoint(t for t, _ in free[b]):
                continue
            before = balance.change(free[a], fold_a, -1)
            balance.add(free[a], fold_a, -1)
            before += balance.change(free[b], fold_b, -1)
            balance.add(free[b], fold_b, -1)
            gain = before + balance.change(free[a], fold_b, 1)
            balance.add(free[a], fold_b)
            gain += balance.change(free[b], fold_a, 1)
            balance.add(free[b], fold_a)
            if gain < -1e-9:
                where[a], where[b] = fold_b, fold_a
                exchanged = True
            else:
                balance.add(free[b], fold_a, -1)
                balance.add(free[a], fold_b, -1)
                balance.add(free[b], fold_b)
                balance.add(free[a], fold_a)
    return exchanged

"""The split of a data set into train, val and test subsets.

A sample's subset depends only on the data and the split's seed, not on the order of files or on which tasks share a
model. The split has three steps:

1. Group the samples into components, which are never divided (`components.py`).
2. Keep the subsets of an official split (the index's column `split`); if it has no validation samples, take some from
   its training samples.
3. Assign the other components so that each subset has its fraction of each task and class (`stratify.py`).
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from usaggr.config.study import SplitConfig
from usaggr.data.samples import Dataset, Sample
from usaggr.data.split.components import number_components
from usaggr.data.split.stratify import StratumCounts, assign_components
from usaggr.errors import DataError
from usaggr.results.split import SUBSETS, Subset

Components = Mapping[int, Sequence[Sample]]
"""Samples of each component, by component number."""

MAX_LISTED_CONFLICTS = 20
"""Conflicts that an error message lists; it counts the others."""


@dataclass(frozen=True)
class Split:
    """Component and subset of each sample of a data set, in the data set's order."""

    components: tuple[int, ...]
    subsets: tuple[Subset | None, ...]
    """None for samples that `conflict: drop_train` removed."""

    @property
    def dropped(self) -> int:
        """Number of samples that are in no subset."""
        return sum(subset is None for subset in self.subsets)


def split_dataset(dataset: Dataset, config: SplitConfig) -> Split:
    """Assign every sample of a data set to a subset, over all tasks together.

    Args:
        dataset: samples of all tasks.
        config: seed, fractions of train, val and test, and the treatment of conflicts in an official split.

    Raises:
        DataError: an official split divides a component, and `config.conflict` is `error`.
    """
    numbers = number_components(dataset.samples)
    components: dict[int, list[Sample]] = defaultdict(list)
    for number, sample in zip(numbers, dataset.samples, strict=True):
        components[number].append(sample)

    official, dropped_ids = _assign_official_subsets(components, config.conflict)
    official |= _carve_validation(official, components, config)
    # Samples with an official subset count towards the fractions of the split; dropped ones do not.
    fixed = [
        (subset, _count_strata(s for s in components[number] if s.official_subset in (subset, None)))
        for number, subset in official.items()
    ]
    free_components = _sort_by_size({c: samples for c, samples in components.items() if c not in official}, config.seed)
    component_subsets = {**official, **assign_components(free_components, fixed, config.fractions)}
    sample_subsets = tuple(
        None if id(sample) in dropped_ids else component_subsets[number]
        for number, sample in zip(numbers, dataset.samples, strict=True)
    )
    return Split(tuple(numbers), sample_subsets)


def _assign_official_subsets(
    components: Components, conflict: Literal["error", "drop_train"]
) -> tuple[dict[int, Subset], set[int]]:
    """Return the subsets that the index's column `split` gives to components.

    Args:
        components: samples of each component.
        conflict: treatment of components whose samples have several official subsets.

    Returns:
        The subset of each component with an official one, and the `id()` of each sample to drop.

    Raises:
        DataError: there are conflicts, and `conflict` is `error`.
    """
    official: dict[int, Subset] = {}
    dropped_ids: set[int] = set()
    conflicts: list[str] = []
    for number, samples in components.items():
        named_subsets = {s.official_subset for s in samples if s.official_subset is not None}
        if not named_subsets:
            continue
        # The latest subset wins (test over val over train), so that no scored sample was trained on.
        subset = max((subset for subset in SUBSETS if subset in named_subsets), key=SUBSETS.index)
        official[number] = subset
        if len(named_subsets) > 1:
            conflicts.append(_describe_conflict(samples))
            dropped_ids.update(id(s) for s in samples if s.official_subset not in (subset, None))
    if conflicts and conflict == "error":
        more = len(conflicts) - MAX_LISTED_CONFLICTS
        listed = [*conflicts[:MAX_LISTED_CONFLICTS], *([f"... and {more} more"] if more > 0 else [])]
        raise DataError(
            f"the index's column split divides {len(conflicts)} component(s): the same image or subject is in two "
            "subsets; fix the index, or set data.split.conflict=drop_train to leave out the training samples of these "
            "components:",
            *(f"  {line}" for line in listed),
        )
    return official, dropped_ids


def _describe_conflict(samples: Iterable[Sample]) -> str:
    """Name the first sample of each official subset in a component."""
    first_samples: dict[str, Sample] = {}
    for s in samples:
        if s.official_subset is not None:
            first_samples.setdefault(s.official_subset, s)
    return "; ".join(f"{name}: {s.csv_file}, line {s.row}, {s.sample_id}" for name, s in sorted(first_samples.items()))


def _carve_validation(official: Mapping[int, Subset], components: Components, config: SplitConfig) -> dict[int, Subset]:
    """Take validation samples from the official training samples of tasks without official validation samples.

    Args:
        official: subset of each component with an official one.
        components: samples of each component.
        config: seed of the split, and the fractions of train, val and test.

    Returns:
        The new subset, train or val, of each component that may become validation data.
    """
    tasks_with_val = {s.task_id for c, subset in official.items() if subset == "val" for s in components[c]}
    training: dict[int, Sequence[Sample]] = {}
    for number, subset in official.items():
        has_val = any(s.task_id in tasks_with_val for s in components[number])
        if subset == "train" and not has_val:
            training[number] = components[number]
    if not training:
        return {}
    train, val = config.fractions[0], config.fractions[1]
    fractions = [train / (train + val), val / (train + val), 0.0]
    return assign_components(_sort_by_size(training, config.seed), [], fractions)


def _count_strata(samples: Iterable[Sample]) -> StratumCounts:
    return Counter((s.task_id, s.stratum) for s in samples)


def _sort_by_size(components: Components, seed: int) -> dict[int, StratumCounts]:
    """Return the stratum counts of components, the largest first, because large ones are hardest to fit."""
    order = sorted(components, key=lambda c: (-len(components[c]), _make_tie_break_key(components[c], seed)))
    return {c: _count_strata(components[c]) for c in order}


def _make_tie_break_key(samples: Sequence[Sample], seed: int) -> str:
    """Return the sort key of a component among those of equal size: a hash of the seed and its first sample.

    Unlike a drawn number, the hash of a component stays the same if other components are added or removed.
    """
    name = min((s.task_id, s.sample_id) for s in samples)
    return hashlib.sha256(f"{seed}\0{name[0]}\0{name[1]}".encode()).hexdigest()

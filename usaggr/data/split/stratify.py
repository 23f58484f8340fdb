"""Stratified assignment of components to subsets.

Components are assigned one by one, the largest first, to the subset where they bring the counts nearest to their
targets. This is iterative stratification (Sechidis et al. 2011) over groups of samples. Single moves, then swaps of two
components, reduce the cost further until nothing helps.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from usaggr.results.split import SUBSETS, Subset

Stratum = tuple[str, int]
"""Task and class; the samples of each are kept in proportion over the subsets."""
StratumCounts = Counter[Stratum]
"""Number of samples in each stratum."""

_ALL_CLASSES = -1
"""Class of the additional stratum that counts all samples of a task."""

SWAP_LIMIT = 150
"""Number of components, the largest first, among which swaps are tried. With more components, moves are fine enough."""
MIN_GAIN = 1e-9
"""Smallest reduction of the cost that counts, above rounding errors: smaller ones could be undone forever."""


def assign_components(
    components: Mapping[int, StratumCounts],
    fixed: Sequence[tuple[Subset, StratumCounts]],
    fractions: Sequence[float],
) -> dict[int, Subset]:
    """Assign each component to a subset, so that every stratum has its fractions of samples in the subsets.

    Args:
        components: samples of each component to assign, by stratum; ties are decided by this order.
        fixed: subset and samples of each component whose subset is already decided.
        fractions: of train, val and test; they sum to 1. A subset with fraction 0 gets no component.

    Returns:
        The subset of each of `components`.
    """
    # A component in a subset with fraction 0 would have infinite cost, and the cost has the target in its denominator.
    allowed = [subset for subset, fraction in enumerate(fractions) if fraction > 0]
    assignment = _Assignment(components, fixed, fractions)
    for component in components:
        assignment.assign(component, assignment.cheapest_subset(component, allowed))
    # Moves are tried first because they are far fewer than swaps.
    while _improve_by_moves(assignment, allowed) or _improve_by_swaps(assignment):
        pass
    return {component: SUBSETS[subset] for component, subset in assignment.subset_of.items()}


class _Assignment:
    """Subset of each component, given by its index in `SUBSETS`, and the cost of the counts that result.

    The cost is the sum of squared relative gaps, (count - target)^2 / target, over all strata and subsets. Changes of
    it are computed from the strata that change, which is far cheaper than the sum.
    """

    def __init__(
        self,
        components: Mapping[int, StratumCounts],
        fixed: Sequence[tuple[Subset, StratumCounts]],
        fractions: Sequence[float],
    ) -> None:
        """Count the fixed samples; the components are not assigned yet.

        Args:
            components: samples of each component to assign, by stratum.
            fixed: subset and samples of each component whose subset is already decided.
            fractions: of train, val and test.
        """
        totals: StratumCounts = Counter()
        for counts in (*components.values(), *(counts for _, counts in fixed)):
            totals.update(counts)
        self.subset_of: dict[int, int] = {}
        self._strata = {component: tuple(_add_task_totals(counts)) for component, counts in components.items()}
        self._tasks = {component: {task_id for task_id, _ in counts} for component, counts in components.items()}
        self._targets = {stratum: [n * f for f in fractions] for stratum, n in _add_task_totals(totals)}
        self._counts = {stratum: [0] * len(fractions) for stratum in self._targets}
        for name, counts in fixed:
            subset = SUBSETS.index(name)
            for stratum, n in _add_task_totals(counts):
                self._counts[stratum][subset] += n

    def share_a_task(self, first: int, second: int) -> bool:
        """Return whether two components have samples of the same task."""
        return not self._tasks[first].isdisjoint(self._tasks[second])

    def cost_change(self, component: int, subset: int, sign: int) -> float:
        """Return the change of the cost if a component enters or leaves a subset.

        Args:
            component: number of the component.
            subset: index of the subset.
            sign: 1 if the component enters the subset, -1 if it leaves.
        """
        change = 0.0
        for stratum, n in self._strata[component]:
            target = self._targets[stratum][subset]
            gap = self._counts[stratum][subset] - target
            change += ((gap + sign * n) ** 2 - gap**2) / max(target, 1e-9)
        return change

    def cheapest_subset(self, component: int, subsets: Sequence[int]) -> int:
        """Return the one of `subsets` whose cost rises least if the component enters it; of equal ones, the first."""
        return min(subsets, key=lambda subset: self.cost_change(component, subset, 1))

    def assign(self, component: int, subset: int) -> float:
        """Put an unassigned component into a subset and return the change of the cost."""
        change = self._count(component, subset, 1)
        self.subset_of[component] = subset
        return change

    def move(self, component: int, subset: int) -> float:
        """Move a component to another subset and return the change of the cost."""
        change = self._count(component, self.subset_of[component], -1)
        return change + self.assign(component, subset)

    def swap(self, first: int, second: int) -> float:
        """Swap the subsets of two components and return the change of the cost; a second call undoes the swap."""
        first_subset, second_subset = self.subset_of[first], self.subset_of[second]
        # The order of these four terms is part of the split: rounding decides between swaps of equal cost.
        change = self._count(first, first_subset, -1)
        change += self._count(second, second_subset, -1)
        change += self.assign(first, second_subset)
        change += self.assign(second, first_subset)
        return change

    def _count(self, component: int, subset: int, sign: int) -> float:
        """Count a component's samples in a subset, or no longer, and return the change of the cost.

        Args:
            component: number of the component.
            subset: index of the subset.
            sign: 1 to add the samples, -1 to subtract them.
        """
        change = self.cost_change(component, subset, sign)
        for stratum, n in self._strata[component]:
            self._counts[stratum][subset] += sign * n
        return change


def _add_task_totals(counts: StratumCounts) -> Iterator[tuple[Stratum, int]]:
    """Yield the strata and, for each task, a stratum of all its samples.

    With it, a task's total is in proportion even where its classes cannot be.
    """
    task_totals: Counter[str] = Counter()
    for (task_id, label), n in counts.items():
        task_totals[task_id] += n
        yield (task_id, label), n
    for task_id, n in task_totals.items():
        yield (task_id, _ALL_CLASSES), n


def _improve_by_moves(assignment: _Assignment, allowed: Sequence[int]) -> bool:
    """Move single components where that reduces the cost; return whether any was moved."""
    has_moved = False
    for component, current in list(assignment.subset_of.items()):
        other_subsets = [subset for subset in allowed if subset != current]
        if not other_subsets:
            continue
        target = assignment.cheapest_subset(component, other_subsets)
        leaving = assignment.cost_change(component, current, -1)
        if leaving + assignment.cost_change(component, target, 1) < -MIN_GAIN:
            assignment.move(component, target)
            has_moved = True
    return has_moved


def _improve_by_swaps(assignment: _Assignment) -> bool:
    """Swap two components of a task between subsets where that reduces the cost; return whether any were swapped.

    Only the largest components are tried, because moves alone place the small ones well.
    """
    has_swapped = False
    largest = list(assignment.subset_of)[:SWAP_LIMIT]
    for i, first in enumerate(largest):
        for second in largest[i + 1 :]:
            if assignment.subset_of[first] == assignment.subset_of[second]:
                continue
            if not assignment.share_a_task(first, second):
                continue
            if assignment.swap(first, second) < -MIN_GAIN:
                has_swapped = True
            else:
                assignment.swap(first, second)
    return has_swapped

"""Stratified assignment of components to subsets: train, val and test.

A component is a group of samples that must stay together, such as those of one subject. Each component in turn, the
largest first, is assigned to the subset where it brings the counts of samples nearest to their targets. This is
iterative stratification (Sechidis et al. 2011) over groups of samples. Moves of single components, then swaps of two,
reduce the cost further until neither helps.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from usaggr.results.split import SUBSETS, Subset

Stratum = tuple[str, int]
"""Task and class. Each stratum is divided between the subsets in the same proportions."""
StratumCounts = Counter[Stratum]
"""Number of samples in each stratum."""

_ALL_CLASSES = -1
"""Class of the additional stratum that counts all samples of a task."""

SWAP_LIMIT = 150
"""Number of components, the largest first, among which swaps are tried; swaps of small ones gain little over moves."""
MIN_GAIN = 1e-9
"""Smallest reduction of the cost that counts. With 0, rounding errors could make and undo one change forever."""


def assign_components(
    components: Mapping[int, StratumCounts],
    fixed: Sequence[tuple[Subset, StratumCounts]],
    fractions: Sequence[float],
) -> dict[int, Subset]:
    """Assign each component to a subset, so that every stratum has its fractions of samples in the subsets.

    Args:
        components: samples of each component to assign, by stratum; the largest component must come first. The order
            of components of equal size decides ties.
        fixed: subset and samples of each component whose subset is already decided.
        fractions: of train, val and test; they sum to 1. A subset with fraction 0 gets no component.

    Returns:
        The subset of each of `components`.
    """
    # A subset with fraction 0 may have fixed samples, but gets no others, because its targets are 0.
    allowed = [subset for subset, fraction in enumerate(fractions) if fraction > 0]
    assignment = _Assignment(components, fixed, fractions)
    for component in components:
        assignment.assign(component, assignment.find_cheapest_subset(component, allowed))
    # Moves are tried first because they are far fewer than swaps.
    while _improve_by_moves(assignment, allowed) or _improve_by_swaps(assignment):
        pass
    return {component: SUBSETS[subset] for component, subset in assignment.subsets.items()}


class _Assignment:
    """Current subset of each component, with the cost of moving components. Subsets are given as indices in `SUBSETS`.

    The cost is the sum of (count - target)^2 / target over all strata and subsets. Only its changes are computed, from
    the strata of the components that move, because that is far cheaper than the complete sum.
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
        self.subsets: dict[int, int] = {}
        """Index of the subset of each assigned component, in the order of assignment."""
        self._strata = {component: tuple(_iterate_strata(counts)) for component, counts in components.items()}
        self._tasks = {component: {task_id for task_id, _ in counts} for component, counts in components.items()}
        self._targets = {stratum: [n * fraction for fraction in fractions] for stratum, n in _iterate_strata(totals)}
        self._counts = {stratum: [0] * len(fractions) for stratum in self._targets}
        for name, counts in fixed:
            subset = SUBSETS.index(name)
            for stratum, n in _iterate_strata(counts):
                self._counts[stratum][subset] += n

    def has_shared_task(self, first: int, second: int) -> bool:
        """Return whether two components have samples of the same task."""
        return not self._tasks[first].isdisjoint(self._tasks[second])

    def compute_cost_change(self, component: int, subset: int, sign: int) -> float:
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
            # The minimum keeps targets of 0 from a division by zero.
            change += ((gap + sign * n) ** 2 - gap**2) / max(target, 1e-9)
        return change

    def find_cheapest_subset(self, component: int, subsets: Sequence[int]) -> int:
        """Return the subset whose cost rises least if the component enters it; the first one of a tie."""
        return min(subsets, key=lambda subset: self.compute_cost_change(component, subset, 1))

    def assign(self, component: int, subset: int) -> float:
        """Put an unassigned component into a subset and return the change of the cost."""
        change = self._update_counts(component, subset, 1)
        self.subsets[component] = subset
        return change

    def move(self, component: int, subset: int) -> float:
        """Move a component to another subset and return the change of the cost."""
        change = self._update_counts(component, self.subsets[component], -1)
        return change + self.assign(component, subset)

    def swap(self, first: int, second: int) -> float:
        """Swap the subsets of two components and return the change of the cost; a second call undoes the swap."""
        first_subset, second_subset = self.subsets[first], self.subsets[second]
        # The order of these four terms must not change: rounding decides between swaps of equal cost, so that another
        # order could give another split.
        change = self._update_counts(first, first_subset, -1)
        change += self._update_counts(second, second_subset, -1)
        change += self.assign(first, second_subset)
        change += self.assign(second, first_subset)
        return change

    def _update_counts(self, component: int, subset: int, sign: int) -> float:
        """Add a component's samples to a subset's counts, or subtract them, and return the change of the cost.

        Args:
            component: number of the component.
            subset: index of the subset.
            sign: 1 to add the samples, -1 to subtract them.
        """
        change = self.compute_cost_change(component, subset, sign)
        for stratum, n in self._strata[component]:
            self._counts[stratum][subset] += sign * n
        return change


def _iterate_strata(counts: StratumCounts) -> Iterator[tuple[Stratum, int]]:
    """Yield each stratum with its count, then one more stratum for each task, which counts all of its samples.

    The additional stratum keeps a task in proportion even if each of its classes is too rare to be divided.
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
    for component, current in list(assignment.subsets.items()):  # a copy, because moves change the dictionary
        other_subsets = [subset for subset in allowed if subset != current]
        if not other_subsets:
            continue
        destination = assignment.find_cheapest_subset(component, other_subsets)
        change = assignment.compute_cost_change(component, current, -1)
        change += assignment.compute_cost_change(component, destination, 1)
        if change < -MIN_GAIN:
            assignment.move(component, destination)
            has_moved = True
    return has_moved


def _improve_by_swaps(assignment: _Assignment) -> bool:
    """Swap the subsets of two components where that reduces the cost; return whether any were swapped.

    A swap needs a task that both components share; otherwise it is the same as two moves. Only the `SWAP_LIMIT` largest
    components are tried.
    """
    has_swapped = False
    largest = list(assignment.subsets)[:SWAP_LIMIT]
    for i, first in enumerate(largest):
        for second in largest[i + 1 :]:
            if assignment.subsets[first] == assignment.subsets[second]:
                continue
            if not assignment.has_shared_task(first, second):
                continue
            if assignment.swap(first, second) < -MIN_GAIN:
                has_swapped = True
            else:
                assignment.swap(first, second)  # undoes the swap
    return has_swapped

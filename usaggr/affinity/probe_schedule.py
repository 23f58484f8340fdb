"""Schedule of probes: as often as their measured cost allows, with every pair of tasks equally often.

A probe takes a virtual training step on each of some source tasks and observes the losses of all target tasks. This
module only computes with times and counts, so that the limit on cost can be tested without a network.
"""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from usaggr.data.seeds import make_generator

SOURCE_SAMPLES, TARGET_SAMPLES = 8, 4
"""Samples of a task per probe: for its gradient as a source, and for its loss as a target; they are different ones."""
MIN_PROBES = 4
"""Number of probes that a run should have at least; if they would cost too much, each has fewer source tasks."""
_MIN_SOURCES = 2
"""Fewest source tasks of a probe: a cosine needs two gradients."""
_WARMUP_STEPS = 3
"""Training steps before the first probe, because the first steps of a process take longer than all others."""


class ProbeBudget:
    """Limits the time of probes to `overhead` x the time of training, spread evenly over the run.

    A probe has a fixed cost and a cost per source task. Both are measured; for the first probe they are estimated.

    Args:
        overhead: Seconds of probes per second of training, above 0.
        steps: Number of training steps of the run.
        estimated_steps: Estimated fixed cost and cost per source task, each in training steps.
        clock: Returns the time in seconds.
    """

    def __init__(
        self,
        overhead: float,
        steps: int,
        estimated_steps: tuple[float, float],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._overhead, self._steps, self._estimated_steps, self._clock = overhead, steps, estimated_steps, clock
        self._measured_seconds: tuple[float, float] | None = None
        self._start = clock()
        self.probe_seconds = 0.0
        """Seconds spent on probes."""

    @property
    def training_seconds(self) -> float:
        """Seconds since the start that were not spent on probes."""
        return self._clock() - self._start - self.probe_seconds

    def count_sources(self, steps_done: int, max_sources: int) -> int:
        """Return the number of source tasks of a probe now, from 2 to `max_sources`; 0 if no probe is due.

        Args:
            steps_done: Number of training steps done.
            max_sources: Largest number of source tasks.
        """
        if steps_done < _WARMUP_STEPS:
            return 0
        training_seconds = self.training_seconds
        step_seconds = training_seconds / steps_done
        estimated = (self._estimated_steps[0] * step_seconds, self._estimated_steps[1] * step_seconds)
        fixed, per_source = self._measured_seconds or estimated
        seconds_per_probe = self._overhead * step_seconds * self._steps / MIN_PROBES
        count = max_sources
        if per_source > 0:
            count = min(max_sources, max(_MIN_SOURCES, int((seconds_per_probe - fixed) / per_source)))
        is_affordable = self.probe_seconds + fixed + per_source * count <= self._overhead * training_seconds
        return count if is_affordable else 0

    def record(self, fixed_seconds: float, source_seconds: float, sources: int) -> None:
        """Record the cost of a probe; later probes are expected to cost the running mean.

        Args:
            fixed_seconds: Seconds without the source tasks.
            source_seconds: Seconds of all source tasks.
            sources: Number of source tasks.
        """
        self.probe_seconds += fixed_seconds + source_seconds
        per_source = source_seconds / sources
        previous = self._measured_seconds
        if previous is None:
            self._measured_seconds = (fixed_seconds, per_source)
        else:
            self._measured_seconds = ((previous[0] + fixed_seconds) / 2, (previous[1] + per_source) / 2)


class SourceRotation:
    """Chooses source tasks so that every task, and every pair of tasks, is probed equally often.

    Args:
        tasks: Number of tasks.
        seed: Seed of the run, which breaks ties.
    """

    def __init__(self, tasks: int, seed: int) -> None:
        self._counts = np.zeros((tasks, tasks), dtype=np.int64)
        """Number of times that two tasks were chosen together; on the diagonal, that a task was chosen."""
        self._rng = make_generator("affinity rota", seed)

    def choose(self, count: int) -> tuple[int, ...]:
        """Return `count` different tasks in ascending order.

        Each next task is the one chosen least often together with those before it, then least often at all.
        """
        order = self._rng.permutation(len(self._counts))
        chosen: list[int] = []
        while len(chosen) < min(count, len(order)):
            candidates = [task for task in order if task not in chosen]
            chosen.append(min(candidates, key=lambda task: (self._count_pairs(task, chosen), self._counts[task, task])))
        self._counts[np.ix_(chosen, chosen)] += 1
        return tuple(sorted(int(task) for task in chosen))

    def _count_pairs(self, task: int, chosen: list[int]) -> int:
        """Return how often a task was chosen together with the tasks chosen so far."""
        return int(self._counts[task, chosen].sum())


class PairMeans:
    """Means of estimates for pairs of tasks.

    Args:
        tasks: Number of tasks.
    """

    def __init__(self, tasks: int) -> None:
        self._sums = np.zeros((tasks, tasks))
        self.counts: NDArray[np.int64] = np.zeros((tasks, tasks), dtype=np.int64)
        """(T, T): number of estimates of each pair."""

    def add(self, source: int, target: int, value: float) -> None:
        """Add an estimate; values that are not finite are ignored.

        Args:
            source: Index of the source task.
            target: Index of the target task.
            value: Estimate.
        """
        if np.isfinite(value):
            self._sums[source, target] += value
            self.counts[source, target] += 1

    def compute_means(self) -> NDArray[np.float64]:
        """Return the mean estimate of each pair (T, T); NaN without an estimate."""
        return np.where(self.counts > 0, self._sums / np.maximum(self.counts, 1), np.nan)

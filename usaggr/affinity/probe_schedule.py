"""When a training run is probed, and for which tasks: as often as its measured cost allows, every pair as often.

Plain arithmetic on times and counts, so that the limit can be tested without a network.
"""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from usaggr.data.seeds import generator

SOURCE_SAMPLES, TARGET_SAMPLES = 8, 4
"""Of a task in a probe: its gradient is that of the first, its loss is looked at on the second, which are others."""
ROUNDS = 4
"""Probes that a run should have at the least: with fewer, each one takes fewer sources."""
_FEWEST = 2
"""Sources of a probe: a cosine needs two."""
_WARM = 3
"""Steps before the first probe: the first ones of a process take longer."""


class Pace:
    """Spends at most `overhead` x the time of training on probes, spread evenly over the run.

    A probe costs a part of its own and one for each source; both are measured, and expected in training steps before.
    """

    def __init__(
        self,
        overhead: float,
        steps: int,
        expected: tuple[float, float],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Begin to count.

        Args:
            overhead: seconds of probes for one of training, above 0.
            steps: of the run.
            expected: cost of a probe without its sources, and of a source, in training steps.
            clock: gives seconds.
        """
        self._overhead, self._steps, self._expected, self._clock = overhead, steps, expected, clock
        self._measured: tuple[float, float] | None = None
        self._start = clock()
        self.spent = 0.0
        """Seconds of probes."""

    @property
    def trained(self) -> float:
        """Seconds since the start that were not spent on probes."""
        return self._clock() - self._start - self.spent

    def sources(self, done: int, most: int) -> int:
        """How many sources to probe now, from 2 to `most`, after so many steps; 0: none yet."""
        if done < _WARM:
            return 0
        trained = self.trained
        step = trained / done
        own, each = self._measured or (self._expected[0] * step, self._expected[1] * step)
        share = self._overhead * step * self._steps / ROUNDS
        wanted = min(most, max(_FEWEST, int((share - own) / each))) if each > 0 else most
        return wanted if self.spent + own + each * wanted <= self._overhead * trained else 0

    def took(self, own: float, of_sources: float, sources: int) -> None:
        """Say what a probe has cost, in seconds: without its sources, and all of them."""
        self.spent += own + of_sources
        each = of_sources / sources
        known = self._measured
        self._measured = (own, each) if known is None else ((known[0] + own) / 2, (known[1] + each) / 2)


class Rota:
    """Deals out sources so that every task, and every two tasks together, come as often as any other."""

    def __init__(self, tasks: int, seed: int) -> None:
        self._together = np.zeros((tasks, tasks), dtype=np.int64)
        self._rng = generator("affinity rota", seed)

    def choose(self, count: int) -> tuple[int, ...]:
        """So many different tasks, in order: first those that came least often, with whom they met least often."""
        order = self._rng.permutation(len(self._together))
        chosen: list[int] = []
        while len(chosen) < min(count, len(order)):
            free = [task for task in order if task not in chosen]
            chosen.append(min(free, key=lambda task: (self._met(task, chosen), self._together[task, task])))
        self._together[np.ix_(chosen, chosen)] += 1
        return tuple(sorted(int(task) for task in chosen))

    def _met(self, task: int, chosen: list[int]) -> int:
        return int(self._together[task, chosen].sum())


class Tally:
    """Means of estimates for pairs of tasks."""

    def __init__(self, tasks: int) -> None:
        self._sums = np.zeros((tasks, tasks))
        self.counts: NDArray[np.int64] = np.zeros((tasks, tasks), dtype=np.int64)
        """(T, T): estimates of each pair."""

    def add(self, source: int, target: int, value: float) -> None:
        """Take an estimate; one that is no finite number is left out."""
        if np.isfinite(value):
            self._sums[source, target] += value
            self.counts[source, target] += 1

    def means(self) -> NDArray[np.float64]:
        """(T, T): mean estimate of each pair; NaN where there is none."""
        return np.where(self.counts > 0, self._sums / np.maximum(self.counts, 1), np.nan)

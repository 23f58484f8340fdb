"""Sentences on routing: how sharply experts are told apart, how far tasks differ, and which are alike."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from usaggr.document.display_names import listed, plural
from usaggr.document.elements import literal
from usaggr.document.numbers import MISSING
from usaggr.report.routing.tables import Array, RunRouting, mean_similarity
from usaggr.tasks import Task

_ENTROPIES = (
    (0.9, "the router hardly tells experts apart"),
    (0.5, "the router favours some experts, and uses others too"),
    (0.0, "the router sends most tokens to few experts with certainty"),
)
_SIMILARITIES = (
    (0.9, "tasks are routed almost alike"),
    (0.6, "tasks share part of their experts"),
    (0.0, "tasks go mostly by different experts"),
)
"""From a value on, what it means; from the largest down."""
_PAIRS = 3


def two(value: float | None) -> str:
    """A number in [0, 1] with two decimals; a dash for what is missing."""
    return MISSING if value is None or not np.isfinite(value) else f"{value:.2f}"


def say_network(runs: Sequence[RunRouting]) -> str:
    """Where experts are, and how many serve a token."""
    first = runs[0]
    blocks = [str(block) for block in first.blocks]
    row = [int(block) for block in first.blocks]
    run = len(row) > 2 and row == list(range(row[0], row[-1] + 1))
    where = (
        f"transformer blocks {row[0]} to {row[-1]}"
        if run
        else f"transformer block{'s' * (len(row) > 1)} " + listed(blocks)
    )
    serve = "all of them serve every token" if first.top_k == first.experts else f"{first.top_k} of them serve a token"
    return f"Instead of one MLP, {where} {'has' if len(row) == 1 else 'have'} {first.experts} experts; {serve}."


def say_similarity(runs: Sequence[RunRouting], tasks: Mapping[str, Task]) -> str:
    """How far the routing of tasks differs within a model, and which tasks are alike."""
    names, matrix = runs[0].tasks, mean_similarity(runs)
    pairs = list(combinations(range(len(names)), 2))
    if not pairs:
        return "No model with experts serves several tasks, so that nothing is told of their similarity."
    values = np.array([matrix[pair] for pair in pairs])
    said = f"The routing of two tasks in one model has a similarity of {two(float(values.mean()))}"
    if len(pairs) == 1:
        said += f" ({literal(names[0])} and {literal(names[1])})"
    else:
        said += f" on the mean over {plural(len(pairs), 'pair')}, from {two(values.min())} to {two(values.max())}"
    said += f": {_meaning(float(values.mean()), _SIMILARITIES)}."
    if len(pairs) == 1:
        return said
    order = sorted(range(len(pairs)), key=lambda place: -round(float(values[place]), 9))
    most = [_pair(names, pairs[place], float(values[place])) for place in order[:_PAIRS]]
    least = _pair(names, pairs[order[-1]], float(values[order[-1]]))
    return " ".join(
        part
        for part in (
            said,
            f"Most alike are {listed(most)}; least alike are {least}.",
            _within(names, pairs, values, {name: tasks[name].clinical_group for name in names}, "clinical group"),
            _within(names, pairs, values, {name: tasks[name].type for name in names}, "task type"),
        )
        if part
    )


def say_entropy(runs: Sequence[RunRouting]) -> str:
    """How sharply the router tells experts apart, over all, and where most and least."""
    by_block = np.mean([one.entropy.mean(axis=0) for one in runs], axis=0)
    mean = float(by_block.mean())
    said = f"The entropy of the router's softmax is {two(mean)} on the mean: {_meaning(mean, _ENTROPIES)}"
    if len(by_block) > 1 and by_block.max() - by_block.min() >= 0.01:
        low, high = int(by_block.argmin()), int(by_block.argmax())
        blocks = runs[0].blocks
        said += f"; it is {two(by_block[low])} in block {blocks[low]} and {two(by_block[high])} in block {blocks[high]}"
    return f"{said}."


def say_dead(runs: Sequence[RunRouting]) -> str:
    """How many experts of these runs serve nobody."""
    dead, of = sum(int(one.dead.sum()) for one in runs), sum(one.dead.size for one in runs)
    if not dead:
        return "No expert of these models is dead."
    return f"Of the {of:,} experts of these models, {dead:,} {'is' if dead == 1 else 'are'} dead."


def _meaning(value: float, meanings: Sequence[tuple[float, str]]) -> str:
    return next(said for least, said in meanings if value >= least)


def _pair(names: Sequence[str], pair: tuple[int, int], value: float) -> str:
    return f"{literal(names[pair[0]])} with {literal(names[pair[1]])} ({two(value)})"


def _within(
    names: Sequence[str], pairs: Sequence[tuple[int, int]], values: Array, kinds: Mapping[str, str], what: str
) -> str:
    """Whether tasks of one kind are more alike than others, in numbers; empty where there are not both."""
    same = np.array([kinds[names[a]] == kinds[names[b]] for a, b in pairs])
    if same.all() or not same.any():
        return ""
    return (
        f"Within a {what} it is {two(float(values[same].mean()))} over {plural(int(same.sum()), 'pair')}, across "
        f"{what}s {two(float(values[~same].mean()))}."
    )

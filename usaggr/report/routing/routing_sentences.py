"""Sentences on routing: entropy of the router, similarity of tasks, and dead experts."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from usaggr.document.display_names import join_names, pluralize
from usaggr.document.elements import escape_markdown
from usaggr.document.numbers import MISSING
from usaggr.report.routing.tables import Array, RunRouting, average_similarity
from usaggr.tasks import Task

# Meaning of values from each lower limit up, the largest limit first.
_ENTROPIES = (
    (0.9, "the router uses all experts almost equally"),
    (0.5, "the router prefers some experts but also uses others"),
    (0.0, "the router sends most tokens to few experts"),
)
_SIMILARITIES = (
    (0.9, "tasks use almost the same experts"),
    (0.6, "tasks share some of their experts"),
    (0.0, "tasks use mostly different experts"),
)
_MOST_PAIRS = 3
"""Number of most similar pairs that are named."""


def format_two_decimals(value: float | None) -> str:
    """Return a number in [0, 1] with two decimals; a dash for a missing one."""
    return MISSING if value is None or not np.isfinite(value) else f"{value:.2f}"


def describe_network(runs: Sequence[RunRouting]) -> str:
    """Return a sentence on the transformer blocks with experts, and the number of experts per token."""
    first = runs[0]
    blocks = [int(block) for block in first.blocks]
    are_consecutive = len(blocks) > 2 and blocks == list(range(blocks[0], blocks[-1] + 1))
    where = (
        f"transformer blocks {blocks[0]} to {blocks[-1]}"
        if are_consecutive
        else f"transformer block{'s' * (len(blocks) > 1)} " + join_names([str(block) for block in blocks])
    )
    use = "uses all of them" if first.top_k == first.experts else f"uses {first.top_k} of them"
    has = "has" if len(blocks) == 1 else "have"
    return f"Instead of one MLP, {where} {has} {first.experts} experts; each token {use}."


def describe_similarity(runs: Sequence[RunRouting], tasks: Mapping[str, Task]) -> str:
    """Return sentences on the similarity of routing between tasks of a model, and on the most similar tasks."""
    names, matrix = runs[0].tasks, average_similarity(runs)
    pairs = list(combinations(range(len(names)), 2))
    if not pairs:
        return "No model with experts serves several tasks, so the similarity of their routing is not available."
    values = np.array([matrix[pair] for pair in pairs])
    mean = float(values.mean())
    if len(pairs) == 1:
        tasks_named = f"{escape_markdown(names[0])} and {escape_markdown(names[1])}"
        meaning = _find_meaning(mean, _SIMILARITIES)
        return f"The similarity of the routing of {tasks_named} is {format_two_decimals(mean)}: {meaning}."
    bounds = f"from {format_two_decimals(values.min())} to {format_two_decimals(values.max())}"
    # Rounded, so that pairs of equal similarity keep the order of the tasks on every machine.
    order = sorted(range(len(pairs)), key=lambda index: -round(float(values[index]), 9))
    most = [_describe_pair(names, pairs[index], float(values[index])) for index in order[:_MOST_PAIRS]]
    least = _describe_pair(names, pairs[order[-1]], float(values[order[-1]]))
    return " ".join(
        sentence
        for sentence in (
            f"The similarity of the routing of two tasks in one model is {format_two_decimals(mean)} on average over "
            f"{pluralize(len(pairs), 'pair')}, {bounds}: {_find_meaning(mean, _SIMILARITIES)}.",
            f"Most similar are {join_names(most)}; least similar are {least}.",
            _compare_kinds(
                names, pairs, values, {name: tasks[name].clinical_group for name in names}, "clinical group"
            ),
            _compare_kinds(names, pairs, values, {name: tasks[name].type for name in names}, "task type"),
        )
        if sentence
    )


def describe_entropy(runs: Sequence[RunRouting]) -> str:
    """Return a sentence on the entropy of the router, on average and in the blocks with the lowest and highest."""
    by_block = np.mean([routed.entropy.mean(axis=0) for routed in runs], axis=0)
    mean = float(by_block.mean())
    meaning = _find_meaning(mean, _ENTROPIES)
    sentence = f"The entropy of the router's softmax is {format_two_decimals(mean)} on average: {meaning}"
    if len(by_block) > 1 and by_block.max() - by_block.min() >= 0.01:
        low, high = int(by_block.argmin()), int(by_block.argmax())
        blocks = runs[0].blocks
        lowest = f"{format_two_decimals(by_block[low])} in block {blocks[low]}"
        sentence += f"; it is {lowest} and {format_two_decimals(by_block[high])} in block {blocks[high]}"
    return f"{sentence}."


def describe_dead(runs: Sequence[RunRouting]) -> str:
    """Return a sentence on the number of dead experts of these runs."""
    dead, experts = sum(int(routed.dead.sum()) for routed in runs), sum(routed.dead.size for routed in runs)
    if not dead:
        return "No expert of these models is dead."
    return f"Of the {experts:,} experts of these models, {dead:,} {'is' if dead == 1 else 'are'} dead."


def _find_meaning(value: float, meanings: Sequence[tuple[float, str]]) -> str:
    return next(meaning for least, meaning in meanings if value >= least)


def _describe_pair(names: Sequence[str], pair: tuple[int, int], value: float) -> str:
    return f"{escape_markdown(names[pair[0]])} with {escape_markdown(names[pair[1]])} ({format_two_decimals(value)})"


def _compare_kinds(
    names: Sequence[str], pairs: Sequence[tuple[int, int]], values: Array, kinds: Mapping[str, str], kind_name: str
) -> str:
    """Return a sentence that compares pairs within one kind of task and across kinds; empty without both.

    Args:
        names: Tasks of the model.
        pairs: Indices of two tasks.
        values: Similarity of each pair.
        kinds: Kind of each task, such as its clinical group.
        kind_name: Name of the kind in the sentence.
    """
    same = np.array([kinds[names[a]] == kinds[names[b]] for a, b in pairs])
    if same.all() or not same.any():
        return ""
    within = f"{format_two_decimals(float(values[same].mean()))} over {pluralize(int(same.sum()), 'pair')}"
    return (
        f"Within a {kind_name} it is {within}, across {kind_name}s {format_two_decimals(float(values[~same].mean()))}."
    )

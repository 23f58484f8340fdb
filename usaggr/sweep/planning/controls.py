"""Controls: random groupings with the block sizes of another grouping.

A grouping by clinical group may gain no more than random groupings of the same sizes. Then the number of tasks that
share a model explains the gain, and the clinical taxonomy does not.
"""

from collections.abc import Iterable, Iterator

from usaggr.data.seeds import make_generator
from usaggr.errors import ConfigError
from usaggr.sweep.planning.grouping import Grouping, GroupingConfig

_TRIES_PER_DRAW = 200
"""Attempts for each requested grouping: if few partitions have these sizes, most attempts repeat an earlier one."""


def draw_groupings(name: str, config: GroupingConfig, like: Grouping) -> Iterator[Grouping]:
    """Draw different random groupings of the same tasks in blocks of the same sizes as another grouping.

    All partitions are equally likely, except that of `like`, which is never drawn. If the sizes allow fewer than
    `config.draws` groupings, fewer are returned. The draws depend only on the tasks, the sizes and the seed. With more
    draws, the first ones stay the same.

    Args:
        name: prefix of the names: `<name>_1`, `<name>_2`, ...
        config: number of draws and seed.
        like: the grouping with the tasks and the block sizes.

    Raises:
        ConfigError: no other partition has these sizes.
    """
    tasks = sorted(task for block in like.blocks.values() for task in block)
    sizes = sorted((len(block) for block in like.blocks.values()), reverse=True)
    rng = make_generator("control", config.seed, *tasks, *sizes)
    seen = {_make_partition(like.blocks.values())}
    for _ in range(config.draws * _TRIES_PER_DRAW):
        order = [tasks[i] for i in rng.permutation(len(tasks))]
        ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
        blocks = [tuple(sorted(order[end - size : end])) for end, size in zip(ends, sizes, strict=True)]
        if _make_partition(blocks) in seen:
            continue
        number = len(seen)  # `seen` also holds the partition of `like`, so that numbers start at 1
        seen.add(_make_partition(blocks))
        drawn_name = f"{name}_{number}"
        named_blocks = {f"{drawn_name}_{i}": block for i, block in enumerate(blocks, 1)}
        yield Grouping(drawn_name, named_blocks, control=name, like=like.name)
        if number == config.draws:
            return
    if len(seen) == 1:
        raise ConfigError(f"grouping {name}: no other grouping has blocks of the sizes of {like.name}")


def _make_partition(blocks: Iterable[Iterable[str]]) -> frozenset[frozenset[str]]:
    """Return a partition without the names and the order of its blocks, so that equal partitions compare equal."""
    return frozenset(frozenset(block) for block in blocks)

"""Controls: groupings drawn by lot, with the block sizes of another one.

Where a grouping by clinical group beats the task-specific models no more than groupings do that put as many tasks
together at random, it is the number of tasks that helps, and not the taxonomy.
"""

from collections.abc import Iterator

from usaggr.data.seeds import generator
from usaggr.errors import ConfigError
from usaggr.sweep.planning.grouping import Grouping, GroupingConfig

_TRIES = 200
"""Draws for each one that is wanted: where few partitions have these sizes, most draws repeat another."""


def draw_groupings(name: str, config: GroupingConfig, like: Grouping) -> Iterator[Grouping]:
    """Different groupings of the same tasks in blocks of the same sizes, named `<name>_1`, `<name>_2`, ...

    Each partition is as likely as any other, but for that of `like` itself. There are fewer than `config.draws` where
    the sizes allow no more. The draws depend on the tasks, the sizes and the seed alone, and the first ones stay the
    same where more are asked for.

    Raises:
        ConfigError: no other partition has these sizes.
    """
    tasks = sorted(task for block in like.blocks.values() for task in block)
    sizes = sorted((len(block) for block in like.blocks.values()), reverse=True)
    random = generator("control", config.seed, *tasks, *sizes)
    seen = {_partition(like.blocks.values())}
    for _ in range(config.draws * _TRIES):
        order = [tasks[i] for i in random.permutation(len(tasks))]
        ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
        blocks = [tuple(sorted(order[end - size : end])) for end, size in zip(ends, sizes, strict=True)]
        if _partition(blocks) in seen:
            continue
        number = len(seen)
        seen.add(_partition(blocks))
        drawn = f"{name}_{number}"
        yield Grouping(drawn, {f"{drawn}_{i}": block for i, block in enumerate(blocks, 1)}, name, like.name)
        if number == config.draws:
            return
    if len(seen) == 1:
        raise ConfigError(f"grouping {name}: no other grouping has blocks of the sizes of {like.name}")


def _partition(blocks: object) -> frozenset[frozenset[str]]:
    return frozenset(frozenset(block) for block in blocks)  # type: ignore[attr-defined]

"""Names of blocks in run ids and in the plan. A block has one name, also if it is in several groupings."""

from collections.abc import Mapping, Sequence

from usaggr.sweep.planning.grouping import Grouping
from usaggr.sweep.planning.stages import Stage


def name_stages(groupings: Mapping[str, Grouping], stages: Mapping[str, Mapping[str, Stage]]) -> dict[Stage, str]:
    """Return the name of each distinct stage, parents before children.

    The only stage of a block has the block's name. The first of two stages has the suffix `.first`, unless it is a
    complete run. A second stage is named after its grouping and the block's name there, such as `staged_task.lung`.

    Args:
        groupings: groupings of the study by name.
        stages: last stage of each block, by grouping and block.
    """
    unstaged = [grouping for grouping in groupings.values() if grouping.staging is None]
    parents = [grouping.staging.parent for grouping in groupings.values() if grouping.staging is not None]
    # The study's groupings come first, so that a parent that is not in the study renames none of their blocks.
    block_names = _name_blocks([*unstaged, *parents])
    names: dict[Stage, str] = {}
    for grouping_name in groupings:
        for block, last_stage in stages[grouping_name].items():
            for stage in last_stage.lineage:
                if stage.parent is not None:
                    names.setdefault(stage, f"{grouping_name}.{block}")
                else:
                    names.setdefault(stage, block_names[stage.block] + (".first" if stage.is_staged else ""))
    return names


def _name_blocks(groupings: Sequence[Grouping]) -> dict[tuple[str, ...], str]:
    """Return the name of each distinct block: its task, `unified`, or its name in the first grouping that holds it."""
    largest = max((block for grouping in groupings for block in grouping.blocks.values()), key=len)
    total = sum(len(block) for block in groupings[0].blocks.values())
    names: dict[tuple[str, ...], str] = {}
    for grouping in groupings:
        for name, tasks in grouping.blocks.items():
            names.setdefault(tasks, tasks[0] if len(tasks) == 1 else name)
    if len(largest) == total and total > 1:
        names[largest] = "unified"
    return names

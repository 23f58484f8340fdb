"""Stages of training: a staged grouping starts each block's model from another grouping's model.

A task's stream is its sequence of training examples. The second stage continues each stream where the first stage has
stopped. There are two budgets:

* `equal`: the first stage trains on the start of each stream, and both stages together on as many examples as a run of
  one stage.
* `extra`: the first stage is a complete run of one stage, and the second stage trains on further examples.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from usaggr.config.compose import apply_variant
from usaggr.config.section import Section
from usaggr.config.study import StudyConfig, TrainingConfig
from usaggr.data.batches.streams import compute_stream_length
from usaggr.errors import ConfigError
from usaggr.sweep.planning.grouping import Grouping

_CHANGEABLE = {"model": {"freeze", "dropout", "layer_decay"}, "data": set[str](), "metrics": set[str]()}
"""Keys that a second stage may change, for the sections in which it may not change all keys."""
_FIXED = {"budget", "min_examples", "sampling"}
"""Keys of training that a second stage may not change, because both stages divide streams of the same length."""


@dataclass(frozen=True)
class Stage:
    """One stage of training a block: the only one, or the first or second of two. Equal stages are one run."""

    block: tuple[str, ...]
    """Sorted task ids."""
    share: float | None = None
    """Fraction of each stream, in (0, 1), at which the first stage ends; the second stage has the length 1 - share.

    None for the only stage, which trains on the complete stream.
    """
    parent: "Stage | None" = None
    """First stage that a second stage starts from."""
    overrides: tuple[str, ...] = ()
    """Overrides of a second stage, applied after the variant's."""

    @property
    def is_staged(self) -> bool:
        """True for the first or second of two stages, unless the first one is a complete run."""
        return self.share is not None

    def compute_window(self, length: int) -> tuple[int, int]:
        """Return the interval [start, end) of a task's stream that this stage trains on.

        Args:
            length: number of examples that the budget gives the task in one stage.

        Raises:
            ConfigError: the stream is too short to be divided.
        """
        if self.share is None:
            return 0, length
        if length < 2:
            raise ConfigError(
                f"training.budget, training.min_examples: a stream of {length} example cannot be trained in two "
                "stages; at least 2 are needed"
            )
        cut = min(max(round(self.share * length), 1), length - 1)
        if self.parent is None:
            return 0, cut
        # Under the budget `extra` the parent ends at `length`, so this window lies beyond a single stage's stream.
        start = self.parent.compute_window(length)[1]
        return start, start + length - cut

    def compute_windows(self, training: TrainingConfig, n_train: Mapping[str, int]) -> dict[str, tuple[int, int]]:
        """Return the interval [start, end) of each task's stream that this stage trains on.

        These are the lengths under `training.sampling=equal`. In a run of one stage, other kinds of sampling divide
        the sum of all lengths differently among the tasks.

        Args:
            training: budget and smallest number of examples of a task.
            n_train: number of training samples by task.
        """
        lengths = {
            task: compute_stream_length(training.budget, training.min_examples, n) for task, n in n_train.items()
        }
        return {task_id: self.compute_window(length) for task_id, length in lengths.items()}

    @property
    def lineage(self) -> Iterator["Stage"]:
        """The stages to train for this one, which is the last; parents first."""
        if self.parent is not None:
            yield from self.parent.lineage
        yield self


def make_stages(grouping: Grouping) -> dict[str, Stage]:
    """Return the last stage of each block of a grouping, by the block's name."""
    staging = grouping.staging
    if staging is None:
        return {name: Stage(block) for name, block in grouping.blocks.items()}
    parent_share = None if staging.budget == "extra" else staging.share
    stages = {}
    for name, block in grouping.blocks.items():
        # Any task of the block names the parent's block: `check_blocks` has made sure that there is only one.
        parent_block = staging.parent.blocks[staging.parent.find_block(block[0])]
        stages[name] = Stage(block, staging.share, Stage(parent_block, parent_share), staging.overrides)
    return stages


def make_stage(grouping: Grouping, task_id: str) -> Stage:
    """Return the last stage of the block that holds a task."""
    return make_stages(grouping)[grouping.find_block(task_id)]


def check_blocks(grouping: Grouping, parent: Grouping) -> None:
    """Check that each block can start from one model of the parent.

    Raises:
        ConfigError: a block's tasks are in several blocks of the parent.
    """
    for name, block in grouping.blocks.items():
        parent_blocks = sorted({parent.find_block(task_id) for task_id in block})
        if len(parent_blocks) > 1:
            raise ConfigError(
                f"grouping {grouping.name}, block {name}: its tasks are in {len(parent_blocks)} blocks of its parent "
                f"{parent.name} ({', '.join(parent_blocks)}); each block must lie within one"
            )


def make_second_stage_study(study: StudyConfig, variant_overrides: tuple[str, ...], grouping: Grouping) -> StudyConfig:
    """Return the study of a grouping's second stage: with a variant's overrides, then the stage's own.

    Args:
        study: study without any overrides of variants or stages.
        variant_overrides: overrides of the variant, such as "training.learning_rate=3e-4".
        grouping: a staged grouping.

    Raises:
        ConfigError: an override is invalid, or would change the network, the data or the lengths of streams.
    """
    staging = grouping.staging
    assert staging is not None
    key = f"grouping {grouping.name}: overrides"
    first = apply_variant(study, variant_overrides)
    if not staging.overrides:
        return first
    try:
        second = apply_variant(study, (*variant_overrides, *staging.overrides))
    except ConfigError as error:
        raise ConfigError(*(f"{key}: {line}" for line in str(error).splitlines())) from error
    for section, changeable in _CHANGEABLE.items():
        if forbidden := _find_changed_keys(getattr(first, section), getattr(second, section)) - changeable:
            raise ConfigError(f"{key}: {section}.{min(forbidden)}: a second stage may change {_describe_changeable()}")
    if forbidden := _find_changed_keys(first.training, second.training) & _FIXED:
        raise ConfigError(f"{key}: training.{min(forbidden)}: a second stage may change {_describe_changeable()}")
    return second


def _find_changed_keys(first: Section, second: Section) -> set[str]:
    first_values, second_values = first.model_dump(), second.model_dump()
    keys = first_values.keys() | second_values.keys()
    return {key for key in keys if first_values.get(key) != second_values.get(key)}


def _describe_changeable() -> str:
    models = ", ".join(f"model.{name}" for name in sorted(_CHANGEABLE["model"]))
    return f"{models}, and all keys of training except {', '.join(sorted(_FIXED))}"

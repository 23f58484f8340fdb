"""Staged strategies: a block's model starts from the weights of another grouping's model that holds its tasks.

The second stage goes on in each task's stream where the first one has stopped. Under the budget `equal`, the first
stage is a run of its own over the first part of each stream, and both stages together see as many examples as a run of
one stage; under `extra`, it is the whole run of one stage, and the second stage comes on top.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from usaggr.config.compose import apply_variant
from usaggr.config.section import Section
from usaggr.config.study import StudyConfig
from usaggr.errors import ConfigError
from usaggr.sweep.planning.grouping import Grouping

_FREE = {"model": {"freeze", "dropout", "layer_decay"}, "data": set[str](), "metrics": set[str]()}
"""Keys of a section that a second stage may change, where it may not change all."""
_FIXED = {"budget", "min_examples", "sampling"}
"""Keys of training that say how long streams are: both stages are cut out of the same ones."""


@dataclass(frozen=True)
class Course:
    """A block, and in which stages it is trained."""

    block: tuple[str, ...]
    """Sorted task ids."""
    share: float | None = None
    """In (0, 1): of a first stage, the part of each stream that it takes; of a second one, the part that its length
    leaves. None: the whole stream, in one stage."""
    parent: "Course | None" = None
    """What a second stage starts from."""
    overrides: tuple[str, ...] = ()
    """Of a second stage, after the variant's."""

    def window(self, length: int) -> tuple[int, int]:
        """The part [first, end) of a task's stream, from the length that the budget gives it in one stage.

        Raises:
            ConfigError: the stream is too short to be cut.
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
        first = self.parent.window(length)[1]
        return first, first + length - cut

    @property
    def lineage(self) -> Iterator["Course"]:
        """The courses to be trained, parents first."""
        if self.parent is not None:
            yield from self.parent.lineage
        yield self


def courses_of(grouping: Grouping) -> dict[str, Course]:
    """How each block of a grouping is trained, by its name."""
    staging = grouping.staging
    if staging is None:
        return {name: Course(block) for name, block in grouping.blocks.items()}
    whole = staging.budget == "extra"
    courses = {}
    for name, block in grouping.blocks.items():
        parent = staging.parent.blocks[staging.parent.block_of(block[0])]
        first = Course(parent, share=None if whole else staging.share)
        courses[name] = Course(block, staging.share, first, staging.overrides)
    return courses


def course_of(grouping: Grouping, task_id: str) -> Course:
    """How the block that holds a task is trained; equal ones are one run."""
    return courses_of(grouping)[grouping.block_of(task_id)]


def check_blocks(grouping: Grouping, parent: Grouping) -> None:
    """See that each block can start from one model of the parent.

    Raises:
        ConfigError: a block's tasks stand in several blocks of the parent.
    """
    for name, block in grouping.blocks.items():
        above = sorted({parent.block_of(task_id) for task_id in block})
        if len(above) > 1:
            raise ConfigError(
                f"grouping {grouping.name}, block {name}: its tasks stand in {len(above)} blocks of its parent "
                f"{parent.name} ({', '.join(above)}); each block must lie within one"
            )


def second_stage(study: StudyConfig, changes: tuple[str, ...], grouping: Grouping) -> StudyConfig:
    """The study of a grouping's second stage: with a variant's overrides, then the stage's own.

    Args:
        study: without either.
        changes: of the variant.
        grouping: a staged one.

    Raises:
        ConfigError: an override that is refused, or that would make another network, other data or streams of another
            length.
    """
    staging = grouping.staging
    assert staging is not None
    where = f"grouping {grouping.name}: overrides"
    before = apply_variant(study, changes)
    if not staging.overrides:
        return before
    try:
        after = apply_variant(study, (*changes, *staging.overrides))
    except ConfigError as error:
        raise ConfigError("\n".join(f"{where}: {line}" for line in str(error).splitlines())) from error
    for section, free in _FREE.items():
        one, two = getattr(before, section), getattr(after, section)
        if changed := _changed(one, two) - free:
            raise ConfigError(f"{where}: {section}.{min(changed)}: a second stage may change {_allowed()}")
    if changed := _changed(before.training, after.training) & _FIXED:
        raise ConfigError(f"{where}: training.{min(changed)}: a second stage may change {_allowed()}")
    return after


def _changed(one: Section, two: Section) -> set[str]:
    values, others = one.model_dump(), two.model_dump()
    return {key for key in values.keys() | others.keys() if values.get(key) != others.get(key)}


def _allowed() -> str:
    models = ", ".join(f"model.{name}" for name in sorted(_FREE["model"]))
    return f"{models} and training, but for {', '.join(sorted(_FIXED))}"

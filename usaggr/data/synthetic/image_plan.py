"""Which images are drawn, and which task uses each: a table, before anything is drawn."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from usaggr.config.study import SyntheticConfig
from usaggr.data.seeds import generator
from usaggr.data.synthetic.patient_pools import SOURCES, Source
from usaggr.data.synthetic.relations import relations


@dataclass(frozen=True, slots=True, order=True)
class Shot:
    """One frame of one patient; with the seed, all that its image depends on."""

    pool: str
    kind: str
    subject: int
    frame: int

    @property
    def subject_id(self) -> str:
        """The patient's name in the index."""
        return f"{self.pool}_{self.kind}_{self.subject:04d}"

    @property
    def name(self) -> str:
        """Of the image's file, without its suffix."""
        return f"{self.subject_id}_{self.frame}"


@dataclass(frozen=True, slots=True)
class Use:
    """A task that an image serves."""

    task_id: str
    label: int
    """Number of the kind among those of the task: the class, of a classification task."""
    labelled_by: Shot | None = None
    """Of a task that conflicts with another one: the image that the label is of. None: the image itself."""


def roster(synthetic: SyntheticConfig) -> dict[Shot, tuple[Use, ...]]:
    """All distinct images of the tasks with what uses each; each task has as many of them as it is to have.

    Raises:
        ConfigError: a planted relation that cannot be.
    """
    related = relations(synthetic)
    uses: dict[Shot, list[Use]] = defaultdict(list)
    for task_id in sorted(set(synthetic.tasks)):
        relation = related.get(task_id)
        source = SOURCES[relation.partner if relation else task_id]
        first = relation.first_subject if relation else 0
        own: list[tuple[Shot, int]] = []
        for label, count in enumerate(quotas(source, synthetic.samples_of.get(task_id, synthetic.samples_per_task))):
            shots = _shots(source.pool, source.kinds[label], synthetic, first)
            skipped = 0 if relation else round(source.start * count)
            own += [(shot, label) for shot, _ in zip(_from_whole_subject(shots, skipped), range(count), strict=False)]
        drawn = _by_lot(own, task_id, synthetic.seed) if relation and relation.kind == "conflicting" else None
        for place, (shot, label) in enumerate(own):
            uses[shot].append(Use(task_id, label) if drawn is None else Use(task_id, drawn[place][1], drawn[place][0]))
    return {shot: tuple(uses[shot]) for shot in sorted(uses)}


def _by_lot(own: list[tuple[Shot, int]], task_id: str, seed: int) -> list[tuple[Shot, int]]:
    """The same in another order: whose label each image has, so that what an image shows says nothing of its label."""
    order = generator("phantom labels", task_id, seed).permutation(len(own))
    return [own[i] for i in order]


def quotas(source: Source, total: int) -> list[int]:
    """How many images of each kind: the shares, rounded so that they sum to the total."""
    shares = source.shares or (1.0,) * len(source.kinds)
    ends = [round(total * sum(shares[: i + 1]) / sum(shares)) for i in range(len(shares))]
    return [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _shots(pool: str, kind: str, synthetic: SyntheticConfig, first: int) -> Iterator[Shot]:
    """All frames of all patients of a kind from a number on, without end."""
    subject = first
    while True:
        rng = generator("phantom frames", pool, kind, subject, synthetic.seed)
        for frame in range(int(rng.integers(1, synthetic.frames_per_subject + 1))):
            yield Shot(pool, kind, subject, frame)
        subject += 1


def _from_whole_subject(shots: Iterator[Shot], skipped: int) -> Iterator[Shot]:
    """Those from the first patient on that begins after `skipped` frames."""
    for number, shot in enumerate(shots):
        if number >= skipped and shot.frame == 0:
            yield shot
            yield from shots

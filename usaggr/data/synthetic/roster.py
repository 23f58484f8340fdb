"""Which images are drawn, and which task uses each: a table, before anything is drawn."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from usaggr.config import SyntheticConfig
from usaggr.data.seeds import generator
from usaggr.data.synthetic.sources import SOURCES, Source


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


def roster(synthetic: SyntheticConfig) -> dict[Shot, tuple[Use, ...]]:
    """All distinct images of the tasks with what uses each; each task has `samples_per_task` of them."""
    uses: dict[Shot, list[Use]] = defaultdict(list)
    for task_id in sorted(set(synthetic.tasks)):
        source = SOURCES[task_id]
        for label, count in enumerate(quotas(source, synthetic.samples_per_task)):
            shots = _shots(source.pool, source.kinds[label], synthetic)
            skipped = round(source.start * count)
            for shot, _ in zip(_from_whole_subject(shots, skipped), range(count), strict=False):
                uses[shot].append(Use(task_id, label))
    return {shot: tuple(uses[shot]) for shot in sorted(uses)}


def quotas(source: Source, total: int) -> list[int]:
    """How many images of each kind: the shares, rounded so that they sum to the total."""
    shares = source.shares or (1.0,) * len(source.kinds)
    ends = [round(total * sum(shares[: i + 1]) / sum(shares)) for i in range(len(shares))]
    return [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _shots(pool: str, kind: str, synthetic: SyntheticConfig) -> Iterator[Shot]:
    """All frames of all patients of a kind, without end."""
    subject = 0
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

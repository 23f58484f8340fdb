"""The plan of images: a table of all images and of the tasks that use them, made before drawing."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from usaggr.config.study import SyntheticConfig
from usaggr.data.seeds import make_generator
from usaggr.data.synthetic.patient_pools import SOURCES, Source
from usaggr.data.synthetic.relations import find_relations


@dataclass(frozen=True, slots=True, order=True)
class Shot:
    """One frame of one patient; an image depends only on its shot and the seed."""

    pool: str
    kind: str
    subject: int
    frame: int

    @property
    def subject_id(self) -> str:
        """Name of the patient in the index."""
        return f"{self.pool}_{self.kind}_{self.subject:04d}"

    @property
    def name(self) -> str:
        """Name of the image file, without its suffix."""
        return f"{self.subject_id}_{self.frame}"


@dataclass(frozen=True, slots=True)
class Use:
    """The use of an image by a task."""

    task_id: str
    label: int
    """Number of the kind among the task's kinds; the class for a classification task."""
    labelled_by: Shot | None = None
    """Image whose label is used instead, for a conflicting task; None for the image itself."""


def plan_images(synthetic: SyntheticConfig) -> dict[Shot, tuple[Use, ...]]:
    """Return all distinct images of the tasks with their uses; each task has its configured number of images.

    Raises:
        ConfigError: A planted relation is not possible.
    """
    related = find_relations(synthetic)
    uses: dict[Shot, list[Use]] = defaultdict(list)
    for task_id in sorted(set(synthetic.tasks)):
        relation = related.get(task_id)
        source = SOURCES[relation.partner if relation else task_id]
        first = relation.first_subject if relation else 0
        task_shots: list[tuple[Shot, int]] = []
        for label, count in enumerate(
            divide_by_shares(source, synthetic.samples_of.get(task_id, synthetic.samples_per_task))
        ):
            shots = _iterate_shots(source.pool, source.kinds[label], synthetic, first)
            # Ranges of related tasks are apart already; other tasks of a pool overlap by their `start`.
            skipped = 0 if relation else round(source.start * count)
            for shot, _ in zip(_skip_to_subject(shots, skipped), range(count), strict=False):
                task_shots.append((shot, label))
        if relation and relation.kind == "conflicting":
            labeled_by = _shuffle(task_shots, task_id, synthetic.seed)
            for (shot, _), (other, label) in zip(task_shots, labeled_by, strict=True):
                uses[shot].append(Use(task_id, label, other))
        else:
            for shot, label in task_shots:
                uses[shot].append(Use(task_id, label))
    return {shot: tuple(uses[shot]) for shot in sorted(uses)}


def _shuffle(task_shots: list[tuple[Shot, int]], task_id: str, seed: int) -> list[tuple[Shot, int]]:
    """Return the images in random order.

    Image i gets the label of the i-th image of the result, so that its content does not predict its label.

    Args:
        task_shots: Images of the task with their labels.
        task_id: Id of the task, for the random order.
        seed: Seed of the phantoms.
    """
    order = make_generator("phantom labels", task_id, seed).permutation(len(task_shots))
    return [task_shots[i] for i in order]


def divide_by_shares(source: Source, total: int) -> list[int]:
    """Return the number of images of each kind, by its share, rounded so that the sum is the total."""
    shares = source.shares or (1.0,) * len(source.kinds)
    ends = [round(total * sum(shares[: i + 1]) / sum(shares)) for i in range(len(shares))]
    return [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _iterate_shots(pool: str, kind: str, synthetic: SyntheticConfig, first: int) -> Iterator[Shot]:
    """Yield all frames of all patients of a kind, without end.

    Args:
        pool: Pool of the patients.
        kind: Kind of finding.
        synthetic: Configuration with the seed and the largest number of frames.
        first: Number of the first patient.
    """
    subject = first
    while True:
        rng = make_generator("phantom frames", pool, kind, subject, synthetic.seed)
        for frame in range(int(rng.integers(1, synthetic.frames_per_subject + 1))):
            yield Shot(pool, kind, subject, frame)
        subject += 1


def _skip_to_subject(shots: Iterator[Shot], skipped: int) -> Iterator[Shot]:
    """Skip at least `skipped` frames, and yield the others from the first frame of the next patient."""
    for number, shot in enumerate(shots):
        if number >= skipped and shot.frame == 0:
            yield shot
            yield from shots

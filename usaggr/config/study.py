"""The schema of the configuration: each key, its type, its limits, and whether it changes results.

Values come from `conf/` and `sweeps/` (see compose.py); this file states what is allowed. Each key of `data`, `model`,
`training` and `metrics` decides with `affects_results` whether it enters a run's fingerprint, which identifies the run.

A check of one key raises a `ValueError` that completes "KEY must be ..."; a check of several keys writes the sentence.
"""

import dataclasses
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from usaggr.config.executor import ExecutorConfig
from usaggr.config.logger import LoggerConfig
from usaggr.config.model import ModelConfig
from usaggr.config.section import Section, key
from usaggr.errors import explain_unknown_name

Scale = Annotated[float, Field(gt=0, le=1)] | Annotated[int, Field(ge=2)]
"""A fraction in (0, 1] of each task's training samples, or a maximum number of samples per task (an integer, >= 2)."""

GRADIENT_BALANCING = ("pcgrad", "upgrad", "mgda", "imtl_g")
"""Values of training.balancing that compare the gradients of the tasks in a batch; they need the extra `torchjd`."""

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""Pattern of the names that become names of folders."""


class SplitConfig(Section):
    """Division of the samples into train, val and test."""

    seed: int = key(affects_results=True, doc="seed of the split", ge=0)
    fractions: list[float] = key(affects_results=True, doc="fractions of train, val, test", min_length=3, max_length=3)
    conflict: Literal["error", "drop_train"] = key(
        affects_results=True, doc="action if an official split divides a component (samples that stay together)"
    )

    @field_validator("fractions")
    @classmethod
    def _check_fractions(cls, fractions: list[float]) -> list[float]:
        # Written fractions such as 0.7, 0.1 and 0.2 do not sum to exactly 1.
        if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
            raise ValueError("three fractions above 0 that sum to 1 (train, val, test)")
        return fractions


class SyntheticConfig(Section):
    """Synthetic images (phantoms) to draw."""

    tasks: list[str] = key(affects_results=True, doc="tasks of the catalog to draw", min_length=1)
    samples_per_task: int = key(affects_results=True, doc="images per task", ge=20)
    frames_per_subject: int = key(affects_results=True, doc="maximum number of frames per subject", ge=1)
    seed: int = key(affects_results=True, doc="seed of the drawing", ge=0)
    # The content of the images is in the fingerprint, so the next three keys need not be.
    samples_of: dict[str, Annotated[int, Field(ge=20)]] = key(
        affects_results=False, doc="task: number of images that replaces samples_per_task"
    )
    related: dict[str, str] = key(affects_results=False, doc="task: another task with the same appearance and labels")
    conflicting: dict[str, str] = key(
        affects_results=False, doc="task: another task with the same appearance and contradicting labels"
    )


class DataConfig(Section):
    """Source of the samples, how they are read, and the input of the network."""

    name: Literal["fmuia", "synthetic"] = key(affects_results=True, doc="source of the data")
    root: str | None = key(affects_results=False, doc="folder that holds csv_files/ (fmuia)")
    image_size: int | list[int] = key(affects_results=True, doc="network input in pixels: N or [height, width]")
    channels: Literal[1, 3] = key(affects_results=True, doc="1: read images as gray; 3: keep their colors")
    on_bad_sample: Literal["error", "skip"] = key(affects_results=True, doc="action for a sample that cannot be used")
    allow_empty_masks: bool = key(affects_results=True, doc="accept masks without foreground")
    # The content of linked files is in the fingerprint, so this key need not be.
    follow_links: bool = key(affects_results=False, doc="read files that are linked from outside the data's folder")
    foreground_255: bool = key(affects_results=True, doc="read the value 255 of a two-class mask as 1")
    subject_patterns: dict[str, str] = key(
        affects_results=True, doc="task: regex for the subject in the file name, or path"
    )
    catalogue_names: bool = key(affects_results=True, doc="use the class names of the catalog")
    clinical_groups: dict[str, str] = key(affects_results=True, doc="task: clinical group")
    organs: dict[str, str] = key(affects_results=True, doc="task: organ")
    class_names: dict[str, list[str]] = key(affects_results=True, doc="task: names of its classes or points")
    # The content of the images as they are read is in the fingerprint, so the next three keys need not be.
    bit_depth: Literal[8, 10, 12, 16] | None = key(
        affects_results=False,
        doc="bit depth of images of more than 8 bits; null: the smallest that fits a task's values",
    )
    exif_orientation: Literal["apply", "ignore"] | None = key(
        affects_results=False, doc="whether images are turned as their EXIF data say; null: refuse such images"
    )
    transparency: Literal["black", "ignore"] | None = key(
        affects_results=False, doc="draw transparent pixels on black, or leave the alpha channel out; null: refuse them"
    )
    subset: Literal["per_seed", "fixed"] = key(
        affects_results=True, doc="whether each seed draws its own training samples of a scale, or all the same"
    )
    split: SplitConfig
    synthetic: SyntheticConfig
    max_pixels: int = key(
        affects_results=False, doc="limit of an image's pixels; larger images are refused before they are decoded", ge=1
    )
    cache_dir: str | None = key(affects_results=False, doc="folder of hashes, resized images and phantoms")
    workers: int | None = key(affects_results=False, doc="processes that read images; null: one per core", ge=1)

    @model_validator(mode="after")
    def _check_root(self) -> "DataConfig":
        if self.name == "fmuia" and self.root is None:
            raise ValueError("data.root must be the folder that holds csv_files/, as in data.root=DIR")
        return self

    @field_validator("image_size")
    @classmethod
    def _check_image_size(cls, size: int | list[int]) -> int | list[int]:
        sides = size if isinstance(size, list) else [size, size]
        if len(sides) != 2 or any(side < 32 for side in sides):
            raise ValueError("a whole number of at least 32, or [height, width] of such numbers")
        return size

    @field_validator("subject_patterns")
    @classmethod
    def _check_patterns(cls, patterns: dict[str, str]) -> dict[str, str]:
        for task, pattern in patterns.items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"a mapping to regular expressions; that of {task} is invalid ({error})") from error
        return patterns

    @property
    def input_size(self) -> tuple[int, int]:
        """Return the height and width of the network's input in pixels."""
        if isinstance(self.image_size, list):
            return self.image_size[0], self.image_size[1]
        return self.image_size, self.image_size


class AugmentConfig(Section):
    """Random changes of a training image together with its label."""

    rotate: float = key(affects_results=True, doc="maximum angle to either side, in degrees", ge=0, le=180)
    scale: float = key(affects_results=True, doc="maximum relative zoom in or out", ge=0, lt=1)
    translate: float = key(affects_results=True, doc="maximum shift, as a fraction of the side", ge=0, lt=1)
    gain: float = key(affects_results=True, doc="maximum relative change of contrast", ge=0, lt=1)
    offset: float = key(affects_results=True, doc="maximum shift of brightness; the image range is [0, 1]", ge=0, lt=1)
    gamma: float = key(affects_results=True, doc="maximum log2 of the exponent on gray values", ge=0, le=2)


class TrainingConfig(Section):
    """Training of a run, the same for every grouping."""

    budget: str = key(affects_results=True, doc="length of a task's stream", examples=["20 epochs"])
    min_examples: int = key(affects_results=True, doc="minimum length of a stream, for tasks with few samples", ge=1)
    batch_size: int = key(affects_results=True, doc="samples per batch, all tasks of the run together", ge=1)
    learning_rate: float = key(affects_results=True, doc="learning rate of decoder and heads", gt=0)
    encoder_learning_rate: float | None = key(affects_results=True, doc="encoder learning rate; null: the same", gt=0)
    weight_decay: float = key(affects_results=True, doc="weight decay of AdamW", ge=0)
    warmup: float = key(affects_results=True, doc="fraction of the run with a rising learning rate", ge=0, lt=1)
    gradient_clip: float | None = key(affects_results=True, doc="maximum norm of the gradient; null: no limit", gt=0)
    task_weights: dict[str, float] = key(affects_results=True, doc="task: weight of its training loss; default 1")
    balancing: Literal["equal", "uncertainty", "pcgrad", "upgrad", "mgda", "imtl_g"] = key(
        affects_results=True, neutral="equal", doc="how the training losses of tasks that share a model are combined"
    )
    sampling: Literal["equal", "proportional", "sqrt", "uniform"] = key(
        affects_results=True, neutral="equal", doc="how a shared model's examples are divided between its tasks"
    )
    segmentation_loss: Literal["dice", "dice_ce"] = key(affects_results=True, doc="Dice, or Dice plus cross-entropy")
    score_weights: Literal["last", "best"] = key(affects_results=True, doc="weights that are scored on the test subset")
    validations: int = key(affects_results=True, doc="number of validations of a run", ge=1)
    checkpoint: float | None = key(
        affects_results=False, doc="minutes between two checkpoints of a run; null: only when it is stopped", gt=0
    )
    keep_weights: Literal["auto", "scored", "none"] = key(
        affects_results=False, doc="weights kept in weights/ after a run; auto: scored if those of all runs are < 10 GB"
    )
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = key(affects_results=True, doc="Lightning precision")
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = key(affects_results=False, doc="Lightning accelerator")
    resident: Literal["auto"] | bool = key(
        affects_results=False, doc="keep a run's images in device memory; auto: on a GPU with enough memory"
    )
    channels_last: Literal["auto"] | bool = key(
        affects_results=False, doc="channels-last memory; auto: on a GPU, in mixed precision, without group norm"
    )
    compile: bool = key(affects_results=False, doc="apply torch.compile to the shared layers; for long runs on a GPU")
    augment: AugmentConfig

    @field_validator("budget")
    @classmethod
    def _check_budget(cls, budget: str) -> str:
        length = re.fullmatch(r"(\d+(?:\.\d+)?) ?epochs|(\d+) ?examples", budget)
        if length is None or float(length[1] or length[2]) <= 0:
            raise ValueError("'N epochs' or 'N examples', such as '20 epochs'")
        return budget

    @model_validator(mode="after")
    def _check_balancing(self) -> "TrainingConfig":
        if self.balancing in GRADIENT_BALANCING and self.precision == "16-mixed":
            raise ValueError(
                f"training.precision must be 32-true or bf16-mixed with training.balancing={self.balancing}, which "
                "compares gradients; 16-mixed scales them, and they may overflow"
            )
        if self.balancing in GRADIENT_BALANCING and self.compile:
            raise ValueError(
                f"training.compile must be false with training.balancing={self.balancing}, which computes each task "
                "of a batch separately"
            )
        return self

    @field_validator("task_weights")
    @classmethod
    def _check_task_weights(cls, weights: dict[str, float]) -> dict[str, float]:
        if any(weight < 0 for weight in weights.values()):
            raise ValueError("weights of at least 0")
        return weights


class MetricsConfig(Section):
    """Scoring of the predictions."""

    nsd_tolerance: float = key(
        affects_results=True, doc="tolerance of normalized surface distance, as a fraction of the diagonal", gt=0, lt=1
    )


class ReportConfig(Section):
    """Settings of the report."""

    confidence: float = Field(gt=0.5, lt=1, description="confidence level of the intervals")
    aggregate: Literal["subject", "sample"] = Field(description="unit that counts once in scores and differences")
    formats: list[Literal["png", "svg"]] = Field(min_length=1, description="file formats of the figures")
    margin: float = Field(gt=0, lt=1, description="non-inferiority margin for metrics whose best value is 1")
    relative_margin: float = Field(
        gt=0, lt=1, description="non-inferiority margin relative to the reference's mean: hd, hd95, mre, mre_relative"
    )
    convergence_margin: float = Field(
        gt=0, lt=1, description="rise of skill in the last quarter of validations above which a run has not converged"
    )
    family: Literal["grouping", "study"] = Field(
        description="tests that Holm's method adjusts together: of each grouping and scale, or of the whole study"
    )
    assumed_seed_sd: float = Field(gt=0, lt=1, description="SD of a difference over seeds that `plan` assumes at first")
    assumed_subject_sd: float = Field(gt=0, lt=1, description="SD of a difference over subjects that `plan` assumes")


@dataclasses.dataclass(frozen=True)
class Origin:
    """Files and overrides of a study, so that a variant can be composed from them with its own overrides on top.

    Not part of the study's value: studies with the same values are equal, wherever they come from.
    """

    folders: tuple[Path, ...] = dataclasses.field(default=(), compare=False)
    """Folders with configurations, in the order in which they are searched; the study's own folder is the first."""
    config: str = dataclasses.field(default="", compare=False)
    """Name of the study's file without .yaml; empty if the study was not composed from files."""
    overrides: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    proposes: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    """Keys that a plan proposes from the data (`propose` in the study's file); empty once it has done so."""


@dataclasses.dataclass(frozen=True)
class Tracked:
    """Values that a sweep passes to the tracker of a run; like `Origin` not part of the study's value."""

    location: str | None = dataclasses.field(default=None, compare=False)
    """MLflow's tracking URI that the sweep uses."""
    parent: str | None = dataclasses.field(default=None, compare=False)
    """The sweep's own run in MLflow."""
    groupings: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    """Groupings that contain the run's block."""


class StudyConfig(Section):
    """A complete study, as `usaggr config` prints it and `outputs/<name>/study.yaml` keeps it."""

    name: str = Field(pattern=NAME_PATTERN, description="name of the study's folder in outputs/")
    outputs: str = Field(min_length=1, description="folder of the results of all studies")
    groupings: list[str] = Field(min_length=1, description="names of files in conf/grouping")
    reference: str = Field(description="grouping that the others are compared with")
    scales: list[Scale] = Field(min_length=1, description="fractions of the training data, or samples per task")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1, description="seeds; each repeats all runs")
    tasks: list[str] | None = Field(description="task ids; null: all tasks of the data")
    variants: dict[Annotated[str, Field(pattern=NAME_PATTERN)], list[str]] = Field(
        description="name: overrides; `base` is included unless it is deleted"
    )
    data: DataConfig
    model: ModelConfig = Field(discriminator="name")
    training: TrainingConfig
    metrics: MetricsConfig
    executor: ExecutorConfig = Field(discriminator="name")
    report: ReportConfig
    logger: LoggerConfig = Field(discriminator="name")
    _origin: Origin = PrivateAttr(default_factory=Origin)
    _tracked: Tracked = PrivateAttr(default_factory=Tracked)

    @field_validator("groupings", "seeds", "scales", "tasks")
    @classmethod
    def _check_repetition(cls, values: list[Any] | None) -> list[Any] | None:
        if values is not None and len(set(values)) != len(values):
            raise ValueError("a list without repeated values")
        return values

    @field_validator("scales")
    @classmethod
    def _check_scales(cls, scales: list[float | int]) -> list[float | int]:
        if len({isinstance(scale, int) for scale in scales}) > 1:
            raise ValueError("either all fractions in (0, 1] or all whole numbers of samples, at least 2")
        return scales

    @field_validator("variants")
    @classmethod
    def _check_variants(cls, variants: dict[str, list[str]]) -> dict[str, list[str]]:
        if not variants:
            raise ValueError("a mapping with at least one variant, such as {base: []}")
        return variants

    @model_validator(mode="after")
    def _check_image_size_of_network(self) -> "StudyConfig":
        stride = self.model.stride
        if any(side % stride for side in self.data.input_size):
            raise ValueError(
                f"data.image_size must be a multiple of {stride} for {self.model.name} with {self.model.encoder}, or "
                f"[height, width] of such numbers; got {self.data.image_size}"
            )
        return self

    @model_validator(mode="after")
    def _check_norm(self) -> "StudyConfig":
        if self.training.balancing in GRADIENT_BALANCING and getattr(self.model, "norm", None) == "batch":
            raise ValueError(
                f"model.norm must be group or frozen with training.balancing={self.training.balancing}, which computes "
                "each task of a batch separately; batch normalization mixes them"
            )
        return self

    @model_validator(mode="after")
    def _check_reference(self) -> "StudyConfig":
        if self.reference not in self.groupings:
            raise ValueError(explain_unknown_name("reference", self.reference, self.groupings))
        return self

    @property
    def origin(self) -> Origin:
        """Files and overrides of the study; empty if it was read from results or built in code."""
        return self._origin

    # Studies are frozen, so both methods change a copy.
    def composed_from(self, origin: Origin) -> "StudyConfig":
        """Return the same study with the files and overrides that it was composed from."""
        study = self.model_copy()
        study._origin = origin
        return study

    @property
    def tracked(self) -> Tracked:
        """Values for the tracker of a run; empty outside of a sweep."""
        return self._tracked

    def set_tracked(self, tracked: Tracked) -> "StudyConfig":
        """Return the same study with values for the tracker of a run."""
        study = self.model_copy()
        study._tracked = tracked
        return study

    @property
    def directory(self) -> Path:
        """Folder of the study's results: `<outputs>/<name>`."""
        return Path(self.outputs) / self.name

"""The typed schema of the configuration: every key, its type, its default's meaning, and whether it changes results.

Values come from `conf/` and `sweeps/` (see compose.py); this file says what is allowed. Each key of `data`, `model`,
`training` and `metrics` decides, by `affects_results`, whether it enters a run's fingerprint.
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
from usaggr.errors import one_of

Scale = Annotated[float, Field(gt=0, le=1)] | Annotated[int, Field(ge=2)]
"""A fraction in (0, 1] of a task's training samples, or a cap of samples a task (an integer from 2)."""


GRADIENT_BALANCING = ("pcgrad", "upgrad", "mgda", "imtl_g")
"""Values of training.balancing that compare the gradients of the tasks in a batch; they need the extra torchjd."""

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""Of names that become names of folders."""


class SplitConfig(Section):
    """How samples are dealt out to train, val and test."""

    seed: int = key(affects_results=True, doc="seed of the split", ge=0)
    fractions: list[float] = key(affects_results=True, doc="train, val and test", min_length=3, max_length=3)
    conflict: Literal["error", "drop_train"] = key(
        affects_results=True, doc="what to do where an official split cuts a component"
    )

    @field_validator("fractions")
    @classmethod
    def _sum_to_one(cls, fractions: list[float]) -> list[float]:
        if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
            raise ValueError("three fractions above 0 that sum to 1 (train, val, test)")
        return fractions


class SyntheticConfig(Section):
    """Which phantoms are drawn."""

    tasks: list[str] = key(affects_results=True, doc="which tasks of the catalogue to draw", min_length=1)
    samples_per_task: int = key(affects_results=True, doc="images a task", ge=20)
    frames_per_subject: int = key(affects_results=True, doc="frames of one subject, at the most", ge=1)
    seed: int = key(affects_results=True, doc="seed of the drawing", ge=0)
    # What is drawn enters fingerprints by its content: these need not.
    samples_of: dict[str, Annotated[int, Field(ge=20)]] = key(
        affects_results=False, doc="task: images, instead of samples_per_task"
    )
    related: dict[str, str] = key(affects_results=False, doc="task: the task whose look and question it shares")
    conflicting: dict[str, str] = key(
        affects_results=False, doc="task: the task whose look it shares, with labels that pull the other way"
    )


class DataConfig(Section):
    """Where samples come from, how they are read, and what the network sees of them."""

    name: Literal["fmuia", "synthetic"] = key(affects_results=True, doc="where the data come from")
    root: str | None = key(affects_results=False, doc="folder that holds csv_files/ (fmuia)")
    image_size: int | list[int] = key(affects_results=True, doc="pixels of the network's input: N or [height, width]")
    channels: Literal[1, 3] = key(affects_results=True, doc="1 reads images as grey, 3 keeps their colours")
    on_bad_sample: Literal["error", "skip"] = key(affects_results=True, doc="what a faulty row does")
    allow_empty_masks: bool = key(affects_results=True, doc="a mask without foreground is a sample, not a fault")
    foreground_255: bool = key(affects_results=True, doc="read the value 255 of a two-class mask as 1")
    subject_patterns: dict[str, str] = key(
        affects_results=True, doc="task: regex on the file name that gives a subject"
    )
    catalogue_names: bool = key(affects_results=True, doc="take the catalogue's class names")
    clinical_groups: dict[str, str] = key(affects_results=True, doc="task: clinical group")
    organs: dict[str, str] = key(affects_results=True, doc="task: organ")
    class_names: dict[str, list[str]] = key(affects_results=True, doc="task: names of its classes or points")
    subset: Literal["per_seed", "fixed"] = key(affects_results=True, doc="is the ranking drawn anew for each seed?")
    split: SplitConfig
    synthetic: SyntheticConfig
    max_pixels: int = key(affects_results=False, doc="larger images are refused unread", ge=1)
    cache_dir: str | None = key(affects_results=False, doc="where hashes, caches and phantoms are kept")
    workers: int | None = key(affects_results=False, doc="processes that read images; null: one a core", ge=1)

    @model_validator(mode="after")
    def _root_of_files(self) -> "DataConfig":
        if self.name == "fmuia" and self.root is None:
            raise ValueError("data.root: give the folder that holds csv_files/, as in data.root=DIR")
        return self

    @field_validator("image_size")
    @classmethod
    def _image_size(cls, size: int | list[int]) -> int | list[int]:
        sides = size if isinstance(size, list) else [size, size]
        if len(sides) != 2 or any(side < 32 for side in sides):
            raise ValueError("a whole number from 32 on, or [height, width] of such")
        return size

    @field_validator("subject_patterns")
    @classmethod
    def _patterns_compile(cls, patterns: dict[str, str]) -> dict[str, str]:
        for task, pattern in patterns.items():
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"the pattern of {task} is not a regular expression: {error}") from error
        return patterns

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the network's input in pixels."""
        if isinstance(self.image_size, list):
            return self.image_size[0], self.image_size[1]
        return self.image_size, self.image_size


class AugmentConfig(Section):
    """Random changes of a training image with its label."""

    rotate: float = key(affects_results=True, doc="degrees to either side, at the most", ge=0, le=180)
    scale: float = key(affects_results=True, doc="relative zoom in or out, at the most", ge=0, lt=1)
    translate: float = key(affects_results=True, doc="shift as a fraction of the side, at the most", ge=0, lt=1)
    gain: float = key(affects_results=True, doc="relative change of contrast, at the most", ge=0, lt=1)
    offset: float = key(affects_results=True, doc="shift of brightness, image range [0, 1]", ge=0, lt=1)
    gamma: float = key(affects_results=True, doc="log2 of the exponent on grey values, at the most", ge=0, le=2)


class TrainingConfig(Section):
    """How a run is trained, the same for every grouping."""

    budget: str = key(affects_results=True, doc="length of a task's stream: 'N epochs' or 'N examples'")
    min_examples: int = key(affects_results=True, doc="floor of a stream's length, for tiny tasks", ge=1)
    batch_size: int = key(affects_results=True, doc="samples a batch, of all tasks of the run together", ge=1)
    learning_rate: float = key(affects_results=True, doc="of decoder and heads", gt=0)
    encoder_learning_rate: float | None = key(affects_results=True, doc="of the encoder; null: as learning_rate", gt=0)
    weight_decay: float = key(affects_results=True, doc="AdamW's", ge=0)
    warmup: float = key(affects_results=True, doc="fraction of the run with a rising learning rate", ge=0, lt=1)
    gradient_clip: float | None = key(affects_results=True, doc="largest norm of the gradient; null: none", gt=0)
    task_weights: dict[str, float] = key(affects_results=True, doc="task: weight of its training loss, 1 if not given")
    balancing: Literal["equal", "uncertainty", "pcgrad", "upgrad", "mgda", "imtl_g"] = key(
        affects_results=True, neutral="equal", doc="how the training losses of tasks that share a model are weighed"
    )
    sampling: Literal["equal", "proportional", "sqrt", "uniform"] = key(
        affects_results=True, neutral="equal", doc="equal exposure, or how a shared model's examples are dealt out"
    )
    segmentation_loss: Literal["dice", "dice_ce"] = key(affects_results=True, doc="Dice, or Dice and cross-entropy")
    score_weights: Literal["last", "best"] = key(affects_results=True, doc="which weights are scored on the test fold")
    validations: int = key(affects_results=True, doc="how often a run is scored on its validation fold", ge=1)
    checkpoint: float | None = key(
        affects_results=False, doc="minutes between two checkpoints of a run; null: only when it is asked to stop", gt=0
    )
    keep_weights: Literal["none", "scored"] = key(affects_results=False, doc="what stays in weights/ after a run")
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = key(affects_results=True, doc="Lightning's precision")
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = key(affects_results=False, doc="Lightning's accelerator")
    resident: Literal["auto"] | bool = key(
        affects_results=False, doc="keep a run's images on its device; auto: on a GPU that has room for them"
    )
    channels_last: Literal["auto"] | bool = key(
        affects_results=False,
        doc="convolutions with channels last; auto: on a GPU in mixed precision, without group norm",
    )
    compile: bool = key(affects_results=False, doc="torch.compile what tasks share; for long runs on a GPU")
    augment: AugmentConfig

    @field_validator("budget")
    @classmethod
    def _budget(cls, budget: str) -> str:
        if not re.fullmatch(r"\d+(\.\d+)? ?epochs|\d+ ?examples", budget) or float(budget.rstrip(" epochsxaml")) <= 0:
            raise ValueError("'N epochs' or 'N examples', as in '20 epochs'")
        return budget

    @model_validator(mode="after")
    def _gradients_of_tasks(self) -> "TrainingConfig":
        if self.balancing in GRADIENT_BALANCING and self.precision == "16-mixed":
            raise ValueError(
                f"training.precision: 32-true or bf16-mixed with training.balancing={self.balancing}, which compares "
                "gradients that 16-mixed has scaled and that may overflow"
            )
        if self.balancing in GRADIENT_BALANCING and self.compile:
            raise ValueError(
                f"training.compile: false with training.balancing={self.balancing}, which computes each task of a "
                "batch by itself"
            )
        return self

    @field_validator("task_weights")
    @classmethod
    def _weights_not_negative(cls, weights: dict[str, float]) -> dict[str, float]:
        if any(weight < 0 for weight in weights.values()):
            raise ValueError("weights from 0 on")
        return weights


class MetricsConfig(Section):
    """How predictions are scored."""

    nsd_tolerance: float = key(
        affects_results=True,
        doc="tolerance of the normalised surface distance, as a fraction of the diagonal",
        gt=0,
        lt=1,
    )


class ReportConfig(Section):
    """What the report shows."""

    confidence: float = Field(gt=0.5, lt=1, description="of the intervals")
    formats: list[Literal["png", "svg"]] = Field(min_length=1, description="file formats of the figures")
    margin: float = Field(gt=0, lt=1, description="of non-inferiority, for metrics whose best is 1")
    relative_margin: float = Field(
        gt=0, lt=1, description="of non-inferiority, as a part of the reference's mean, for hd, hd95, mre, mre_relative"
    )
    convergence_margin: float = Field(
        gt=0, lt=1, description="rise of skill in the last quarter of the validation curve that says: not converged"
    )
    assumed_seed_sd: float = Field(gt=0, lt=1, description="of a difference over seeds, for plan, before runs tell")
    assumed_subject_sd: float = Field(gt=0, lt=1, description="of a difference over subjects, for plan")


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a study was composed from, so that a variant can be composed the same way with its overrides on top.

    No part of what a study is: studies with the same values are equal, wherever they come from.
    """

    folders: tuple[Path, ...] = dataclasses.field(default=(), compare=False)
    """Where configurations are looked for, first to last."""
    config: str = dataclasses.field(default="", compare=False)
    """Name of the study's file, without its ending, in one of the folders; empty: not composed."""
    overrides: tuple[str, ...] = dataclasses.field(default=(), compare=False)


@dataclasses.dataclass(frozen=True)
class Tracked:
    """What a run's tracker is told by the sweep; like its origin no part of what a study is."""

    location: str | None = dataclasses.field(default=None, compare=False)
    """MLflow's tracking URI, as the sweep has found it."""
    parent: str | None = dataclasses.field(default=None, compare=False)
    """The sweep's own run in MLflow."""
    groupings: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    """All that hold the run's block."""


class StudyConfig(Section):
    """A whole study, as composed: what `usaggr config` prints and `outputs/<name>/study.yaml` keeps."""

    name: str = Field(pattern=NAME_PATTERN, description="of the folder in outputs/")
    outputs: str = Field(min_length=1, description="folder of all results")
    groupings: list[str] = Field(min_length=1, description="names in conf/grouping")
    reference: str = Field(description="the grouping that others are compared with")
    scales: list[Scale] = Field(min_length=1, description="fractions of the training data, or caps of samples a task")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1, description="one run a seed")
    tasks: list[str] | None = Field(description="task ids; null: all tasks of the data")
    variants: dict[Annotated[str, Field(pattern=NAME_PATTERN)], list[str]] = Field(
        description="name: overrides; base is always there unless left out by name"
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
    def _no_repetition(cls, values: list[Any] | None) -> list[Any] | None:
        if values is not None and len(set(values)) != len(values):
            raise ValueError("each value once")
        return values

    @field_validator("scales")
    @classmethod
    def _one_kind_of_scale(cls, scales: list[float | int]) -> list[float | int]:
        if len({isinstance(scale, int) for scale in scales}) > 1:
            raise ValueError("all fractions in (0, 1], or all whole numbers of samples from 2 on")
        return scales

    @field_validator("variants")
    @classmethod
    def _variants(cls, variants: dict[str, list[str]]) -> dict[str, list[str]]:
        if not variants:
            raise ValueError("at least one variant, such as {base: []}")
        return variants

    @model_validator(mode="after")
    def _images_fit_the_network(self) -> "StudyConfig":
        stride = self.model.stride
        if any(side % stride for side in self.data.input_size):
            raise ValueError(
                f"data.image_size: a multiple of {stride} for {self.model.name} with {self.model.encoder}, or "
                f"[height, width] of such, not {self.data.image_size}"
            )
        return self

    @model_validator(mode="after")
    def _tasks_of_a_batch_are_apart(self) -> "StudyConfig":
        if self.training.balancing in GRADIENT_BALANCING and getattr(self.model, "norm", None) == "batch":
            raise ValueError(
                f"model.norm: group or frozen with training.balancing={self.training.balancing}, which computes each "
                "task of a batch by itself; batch mixes them"
            )
        return self

    @model_validator(mode="after")
    def _reference_is_a_grouping(self) -> "StudyConfig":
        if self.reference not in self.groupings:
            raise ValueError(one_of("reference", self.reference, self.groupings))
        return self

    @property
    def origin(self) -> Origin:
        """What the study was composed from; empty for one that was read from results or built in code."""
        return self._origin

    def composed_from(self, origin: Origin) -> "StudyConfig":
        """The same study, which knows where it comes from."""
        study = self.model_copy()
        study._origin = origin
        return study

    @property
    def tracked(self) -> Tracked:
        """What a run's tracker is told; empty outside of a sweep."""
        return self._tracked

    def tracked_as(self, tracked: Tracked) -> "StudyConfig":
        """The same study, with what a run's tracker is told."""
        study = self.model_copy()
        study._tracked = tracked
        return study

    @property
    def directory(self) -> Path:
        """Folder of the study's results."""
        return Path(self.outputs) / self.name

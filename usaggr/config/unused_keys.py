"""Keys that have no effect in a study, such as data.root with phantoms: they are named instead of ignored in silence.

Each key of the schema is either in `ALWAYS_USED` or in one rule of `RULES`, which states when it has an effect; a test
goes through the schema. A key without effect is an error if it was given on the command line, because its author
expects it to do something. It is a warning if it is in the study's file, where it may wait for another choice.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usaggr.config.compose import apply_variant
from usaggr.config.folders import find_file, format_path, read_mapping
from usaggr.config.json_schema import find_node, find_value_node, read_schema
from usaggr.config.model import M2DinoConfig
from usaggr.config.overrides import read_overrides
from usaggr.config.study import StudyConfig
from usaggr.errors import ConfigError

ALWAYS_USED = frozenset({
    "name", "outputs", "groupings", "reference", "scales", "seeds", "tasks", "variants", "data.name",
    "data.image_size", "data.channels", "data.catalogue_names", "data.clinical_groups", "data.organs",
    "data.class_names", "data.split.seed", "data.split.fractions", "data.cache_dir", "data.workers", "model.name",
    "model.encoder", "model.weights", "model.decoder_channels", "model.norm", "model.freeze", "model.patch_size",
    "model.conditioning", "model.layer_decay", "training.budget", "training.min_examples", "training.batch_size",
    "training.learning_rate", "training.weight_decay", "training.warmup", "training.gradient_clip",
    "training.task_weights", "training.validations", "training.checkpoint", "training.keep_weights",
    "training.precision", "training.accelerator", "training.resident", "training.channels_last", "training.compile",
    "training.augment.rotate", "training.augment.scale", "training.augment.translate", "training.augment.gain",
    "training.augment.offset", "training.augment.gamma", "executor.name", "executor.threads", "executor.attempts",
    "executor.timeout", "executor.grace", "executor.workers", "executor.devices", "executor.runs_per_worker",
    "executor.partition", "executor.account", "executor.qos", "executor.constraint", "executor.gpus",
    "executor.cpus", "executor.memory", "executor.time", "executor.setup", "executor.options",
    "executor.runs_per_job", "executor.jobs", "executor.wait", "executor.address", "executor.shared",
    "report.confidence", "report.aggregate", "report.formats", "report.margin", "report.convergence_margin",
    "report.assumed_seed_sd", "report.assumed_subject_sd", "logger.name", "logger.every", "logger.location",
    "logger.experiment", "logger.project", "logger.entity",
})  # fmt: skip
"""Keys that have an effect wherever they are allowed. Those of another network, executor or logger are refused."""


@dataclass(frozen=True)
class PlannedTasks:
    """Facts about the tasks of a study that the rules need and only its data give."""

    types: frozenset[str]
    """Types of the tasks, such as "segmentation"."""
    has_shared_models: bool
    """True if a model of several tasks is planned."""


@dataclass(frozen=True)
class UnusedKey:
    """A key without effect."""

    key: str
    """Dotted key; a key of a variant follows the variant's name."""
    message: str
    is_typed: bool
    """True if it was given on the command line, False if it is in the study's file."""


@dataclass(frozen=True)
class Rule:
    """When some keys have an effect."""

    keys: tuple[str, ...]
    """Dotted keys; a key that holds others, such as data.synthetic, stands for all of them."""
    choices: tuple[str, ...]
    """Keys that decide. If one of them is given on the command line, keys in the study's file wait for another choice
    and are not reported."""
    has_effect: Callable[[StudyConfig, PlannedTasks], bool]
    reason: str
    """Continues "KEY has no effect"; `{study...}` is replaced by values of the study."""
    needs_tasks: bool = False
    """True if the rule depends on the tasks, so that it is checked when the data are read."""


def _trains_encoder(study: StudyConfig, tasks: PlannedTasks) -> bool:
    if isinstance(study.model, M2DinoConfig):
        # Experts and adapters are part of the encoder and stay trainable.
        return study.model.freeze != "backbone" or study.model.conditioning != "none"
    return study.model.freeze != "encoder"


def _uses_gpu(study: StudyConfig, tasks: PlannedTasks) -> bool:
    has_devices = getattr(study.executor, "devices", None) != []
    return study.training.accelerator != "cpu" and has_devices and getattr(study.executor, "gpus", 1) != 0


def _is_conditioned_by(*kinds: str) -> Callable[[StudyConfig, PlannedTasks], bool]:
    return lambda study, tasks: getattr(study.model, "conditioning", None) in kinds


def _get_router(study: StudyConfig) -> str | None:
    return study.model.experts.router if isinstance(study.model, M2DinoConfig) else None


def _has_task_type(*types: str) -> Callable[[StudyConfig, PlannedTasks], bool]:
    return lambda study, tasks: not tasks.types.isdisjoint(types)


_FILE_KEYS = (
    "data.on_bad_sample", "data.allow_empty_masks", "data.foreground_255", "data.subject_patterns",
    "data.split.conflict", "data.max_pixels", "data.follow_links",
    "data.bit_depth", "data.exif_orientation", "data.transparency",
)  # fmt: skip
"""Keys for files and index rows as they come from other programs; phantoms are always valid and have subjects."""
_NEEDS_SHARED_MODEL = "because no planned model has several tasks; add a grouping such as unified, or leave it out"

RULES = (
    Rule(
        ("data.root",), ("data",), lambda study, tasks: study.data.name == "fmuia",
        "with data={study.data.name}, which draws phantoms and reads no folder; add data=fmuia (or your own file of "
        "conf/data) to read the folder, or leave data.root out",
    ),
    Rule(
        _FILE_KEYS, ("data",), lambda study, tasks: study.data.name == "fmuia",
        "with data={study.data.name}, whose phantoms are always valid; add data=fmuia data.root=DIR to read a folder, "
        "or leave it out",
    ),
    Rule(
        ("data.synthetic.samples_per_task",), ("data", "data.synthetic"),
        lambda study, tasks: study.data.name == "synthetic"
        and not set(study.data.synthetic.tasks) <= set(study.data.synthetic.samples_of),
        "unless data=synthetic draws a task that is not in data.synthetic.samples_of; leave it out",
    ),
    Rule(
        tuple(
            f"data.synthetic.{name}"
            for name in ("tasks", "frames_per_subject", "seed", "samples_of", "related", "conflicting")
        ),
        ("data",), lambda study, tasks: study.data.name == "synthetic",
        "with data={study.data.name}, which reads the folder {study.data.root}; add data=synthetic to draw phantoms, "
        "or leave it out",
    ),
    Rule(
        ("data.subset",), ("scale", "scales"),
        lambda study, tasks: study.data.subset == "per_seed" or study.scales != [1.0],
        "with scales=[1.0], which takes all training samples for every seed; add a scale below 1, or leave it out",
    ),
    Rule(
        ("model.conditioned_blocks",), ("model",),
        lambda study, tasks: getattr(study.model, "conditioning", "none") != "none" or study.model.freeze == "early",
        "with model.conditioning=none; choose model.conditioning=experts, lora or film, or leave it out",
    ),
    Rule(
        ("model.experts.count", "model.experts.top_k", "model.experts.router", "model.experts.noise"), ("model",),
        _is_conditioned_by("experts"),
        "with model.conditioning={study.model.conditioning}; add model.conditioning=experts, or leave it out",
    ),
    Rule(
        ("model.experts.task_channels",), ("model",),
        lambda study, tasks: _is_conditioned_by("experts")(study, tasks) and _get_router(study) == "task",
        "unless model.conditioning=experts and model.experts.router=task; set these, or leave it out",
    ),
    Rule(
        ("model.experts.balance",), ("model",),
        lambda study, tasks: _is_conditioned_by("experts")(study, tasks) and _get_router(study) != "uniform",
        "unless model.conditioning=experts and model.experts.router is task or token; set these, or leave it out",
    ),
    Rule(
        ("model.lora_rank",), ("model",), _is_conditioned_by("lora"),
        "with model.conditioning={study.model.conditioning}; add model.conditioning=lora, or leave it out",
    ),
    Rule(
        ("model.landmarks",), ("model", "tasks", "data"), _has_task_type("regression"),
        "without a landmark task (task type regression); leave it out", needs_tasks=True,
    ),
    Rule(
        ("model.dropout",), ("model", "tasks", "data"), _has_task_type("classification"),
        "without a classification task; leave it out", needs_tasks=True,
    ),
    Rule(
        ("training.encoder_learning_rate",), ("model", "training"), _trains_encoder,
        "with model.freeze={study.model.freeze}, which does not train the encoder; change one of them, or leave it out",
    ),
    Rule(
        ("training.score_weights",), ("training",),
        lambda study, tasks: study.training.score_weights == "last" or study.training.validations > 1,
        "with training.validations=1, because the only validation is that of the last step; use "
        "training.validations=2 or more, or leave it out",
    ),
    Rule(
        ("training.balancing",), ("groupings", "tasks", "data"),
        lambda study, tasks: tasks.has_shared_models or study.training.balancing == "equal",
        _NEEDS_SHARED_MODEL, needs_tasks=True,
    ),
    Rule(
        ("training.sampling",), ("groupings", "tasks", "data"),
        lambda study, tasks: tasks.has_shared_models or study.training.sampling == "equal",
        _NEEDS_SHARED_MODEL, needs_tasks=True,
    ),
    Rule(
        ("training.segmentation_loss", "metrics.nsd_tolerance"), ("tasks", "data"), _has_task_type("segmentation"),
        "without a segmentation task; leave it out", needs_tasks=True,
    ),
    Rule(
        ("report.relative_margin",), ("report", "tasks", "data"), _has_task_type("segmentation", "regression"),
        "without a segmentation or landmark task, because only their distances use it; see report.margin, or leave it "
        "out",
        needs_tasks=True,
    ),
    Rule(
        ("report.family",), ("report", "groupings", "scales", "variants"),
        lambda study, tasks: len(study.groupings) > 2 or len(study.scales) > 1 or len(study.variants) > 1,
        "with two groupings, one scale and one variant, whose tests are one family; leave it out",
    ),
    Rule(
        ("executor.runs_per_device",), ("executor", "training"), _uses_gpu,
        "without GPUs (training.accelerator=cpu, executor.devices=[] or executor.gpus=0); use executor.workers for the "
        "number of parallel runs, or leave it out",
    ),
)  # fmt: skip
"""Keys that have an effect only in some studies."""
_NO_TASKS = PlannedTasks(frozenset(), has_shared_models=False)


def check_unused_keys(study: StudyConfig, tasks: PlannedTasks | None = None) -> list[str]:
    """Return a warning for each key of the study's file that has no effect.

    Args:
        study: Study that was composed from files.
        tasks: Tasks of the study, to check the rules that need them; None checks the others.

    Raises:
        ConfigError: A key of the command line has no effect.
    """
    unused_keys = list(find_unused_keys(study, tasks))
    if errors := [unused.message for unused in unused_keys if unused.is_typed]:
        raise ConfigError(*errors)
    return [unused.message for unused in unused_keys]


def find_unused_keys(study: StudyConfig, tasks: PlannedTasks | None = None) -> Iterator[UnusedKey]:
    """Yield the keys without effect: of the command line, of the study's file, and of the variants' overrides."""
    from usaggr.config.override_values import list_override_values

    typed_values = dict(list_override_values(study.origin))
    typed_keys = {override.key for override in read_overrides(study.origin.overrides, study.origin.folders)}
    file, file_values = _read_study_file(study)
    variants = _Variants(study)
    for key in {**file_values, **typed_values}:
        rule = find_rule(key)
        # Without a value there is nothing that a user may count on, as in data.root=null.
        if rule is None or rule.needs_tasks != (tasks is not None) or typed_values.get(key, True) is None:
            continue
        is_typed = key in typed_values
        if not is_typed and any(_is_chosen(choice, typed_keys) for choice in rule.choices):
            continue
        if not any(rule.has_effect(variant, tasks or _NO_TASKS) for variant in variants.compose_all()):
            where = "" if is_typed else f" ({format_path(file)})" if file else ""
            yield UnusedKey(key, f"{key}{where} has no effect {rule.reason.format(study=study)}", is_typed)
    for name, overrides in study.variants.items():
        is_typed = any(key == "variants" or key == f"variants.{name}" for key in typed_keys)
        for override in read_overrides(overrides, study.origin.folders):
            rule = find_rule(override.key)
            if rule is None or override.is_deletion or rule.needs_tasks != (tasks is not None):
                continue
            variant = variants.compose(name)
            if not rule.has_effect(variant, tasks or _NO_TASKS):
                reason = rule.reason.format(study=variant)
                yield UnusedKey(override.key, f"variants.{name}: {override.key} has no effect {reason}", is_typed)


def explain_merged_mappings(study: StudyConfig) -> list[str]:
    """Return a note for each mapping of the command line to which Hydra has added the entries of files.

    `variants={base: []}` does not remove the other variants of a study, because Hydra merges mappings.
    """
    from usaggr.config.override_values import list_override_mappings

    notes = []
    composed = study.model_dump()
    for key, entries in list_override_mappings(study.origin):
        if find_value_node(find_node(key, read_schema(StudyConfig))[0]) is None:
            continue  # a section, whose keys are fixed
        merged = composed
        for name in key.split("."):
            merged = merged[name]
        if kept_names := [name for name in merged if name not in entries]:
            notes.append(
                f"{key}={{...}}: Hydra merges mappings, so {', '.join(kept_names)} from the study's files "
                f"{'stays' if len(kept_names) == 1 else 'stay'} too; to remove an entry, add '~{key}.{kept_names[0]}'"
            )
    return notes


def find_rule(key: str) -> Rule | None:
    """Return the rule of a dotted key; None if the key has an effect wherever it is allowed."""
    return next((rule for rule in RULES for name in rule.keys if key == name or key.startswith(f"{name}.")), None)


def _is_chosen(choice: str, typed_keys: set[str]) -> bool:
    return any(key == choice or key.startswith(f"{choice}.") for key in typed_keys)


def _read_study_file(study: StudyConfig) -> tuple[Path | None, dict[str, Any]]:
    """Return the study's own file and its values by dotted key; those of other files are defaults."""
    from usaggr.config.hydra import list_values

    path = find_file(study.origin.config, study.origin.folders)
    content = read_mapping(path) if path else {}
    content.pop("defaults", None)
    return path, dict(list_values(content, ""))


class _Variants:
    """Variants of a study, which are composed only if a rule asks for them: each takes a tenth of a second."""

    def __init__(self, study: StudyConfig) -> None:
        self._study = study
        self._composed: dict[str, StudyConfig] = {}

    def compose(self, name: str) -> StudyConfig:
        """Return the study with the overrides of a variant."""
        if name not in self._composed:
            self._composed[name] = apply_variant(self._study, self._study.variants[name])
        return self._composed[name]

    def compose_all(self) -> Iterator[StudyConfig]:
        """Yield the study with each variant's overrides; variants without overrides come first."""
        for name in sorted(self._study.variants, key=lambda name: len(self._study.variants[name])):
            yield self.compose(name)

"""Decision whether the runs of a plan keep their weights, if `training.keep_weights` is `auto`.

`usaggr plan`, `sweep` and `train` use `decide_kept_weights`, and executors get studies in which `auto` is replaced, so
that jobs on other machines decide nothing.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from usaggr.config.executor import RayConfig
from usaggr.config.study import StudyConfig
from usaggr.data.read.paths import find_cache_folder
from usaggr.errors import ConfigError
from usaggr.models.weight_sizes import WeightSizes
from usaggr.results.find_runs import is_done
from usaggr.results.trained_model import has_weights
from usaggr.sweep.executors.ray.parcel import MAX_BYTES
from usaggr.sweep.inspect.planned_networks import check_planned_networks
from usaggr.sweep.network_checks import find_distinct_networks, make_network_key
from usaggr.sweep.network_sizes import write_sizes
from usaggr.sweep.planning.study_plan import Plan, PlannedRun

LIMIT_BYTES = 10 * 1000**3
"""Bytes of the weights of all planned runs from which on `auto` keeps none."""


@dataclass(frozen=True)
class KeptWeights:
    """The decision for a plan, and what it depends on."""

    setting: str
    """`training.keep_weights` of the study."""
    chosen: tuple[int, ...]
    """Bytes of the weights of each run that keeps them in any case: by a setting, or because others start from them."""
    automatic: tuple[int, ...]
    """Bytes of the weights of each run with `auto`."""
    is_known: bool
    """False if the size of a network could not be found out; it then counts as 0."""
    is_sendable: bool
    """False if the executor could not send a run with its weights back from its node."""
    missing: int
    """Bytes of the weights that are still to be written, if all of these runs keep them."""
    free: int
    """Free bytes of the disk of the results."""

    @property
    def keeps_automatic(self) -> bool:
        """True if runs with `auto` keep their weights."""
        if not self.automatic or not self.is_known or not self.is_sendable:
            return False
        return sum(self.chosen) + sum(self.automatic) < LIMIT_BYTES

    def resolve(self, study: StudyConfig) -> StudyConfig:
        """Return the study of a run with `scored` or `none` in place of `auto`; this changes no result."""
        if study.training.keep_weights != "auto":
            return study
        value = "scored" if self.keeps_automatic else "none"
        return study.model_copy(update={"training": study.training.model_copy(update={"keep_weights": value})})

    def keeps(self, run: PlannedRun) -> bool:
        """Return whether a run keeps its weights."""
        return self.resolve(run.study).training.keep_weights == "scored"

    def describe(self) -> str:
        """Return the decision and its reason in one line."""
        if not self.chosen and not self.automatic:
            return "weights: none are kept (training.keep_weights=none)"
        if self.automatic and not self.is_known:
            text = "weights: not kept, because the size of the networks is not known (training.keep_weights=auto)"
        elif self.automatic and not self.is_sendable:
            text = f"weights: not kept, because nodes of Ray send at most {_format_bytes(MAX_BYTES)} of a run "
            text += "(executor.shared=false)"
        elif self.keeps_automatic:
            amount = _describe_amount([*self.chosen, *self.automatic])
            text = f"weights: kept of {amount}, less than 10 GB (training.keep_weights=auto)"
        elif self.automatic:
            amount = _describe_amount([*self.chosen, *self.automatic])
            text = f"weights: not kept of {amount}, not less than 10 GB (training.keep_weights=auto; scored keeps them)"
        else:
            by_setting = "training.keep_weights=scored"
            reason = by_setting if self.setting == "scored" else f"{by_setting} of a variant, or others start from them"
            amount = _describe_amount(self.chosen) if self.is_known else f"{len(self.chosen)} runs of unknown size"
            return self._add_free_space(f"weights: kept of {amount} ({reason})")
        if self.chosen and not self.keeps_automatic:
            text += f"; kept of the {_describe_amount(self.chosen)} that others start from or whose variant says so"
        return self._add_free_space(text)

    def _add_free_space(self, text: str) -> str:
        is_kept = self.keeps_automatic or (self.chosen and not self.automatic)
        warning = ", too little; training.keep_weights=none needs none" if is_kept and self.missing > self.free else ""
        return f"{text}; {_format_bytes(self.free)} are free on this disk{warning}"


def decide_kept_weights(plan: Plan, sizes: Mapping[str, WeightSizes]) -> KeptWeights:
    """Decide for all planned runs, finished or not, so that a later sweep of the same plan decides the same.

    Args:
        plan: runs of the study.
        sizes: Sizes of its networks by `Network.key`.
    """
    chosen: list[int] = []
    automatic: list[int] = []
    is_known, missing = True, 0
    sizes_by_study: dict[int, WeightSizes | None] = {}  # runs share their studies, and there may be ten thousand runs
    for run in plan.runs:
        setting = run.study.training.keep_weights
        if setting == "none":
            continue
        if id(run.study) not in sizes_by_study:
            key = make_network_key(run.study.model, run.study.data.input_size)
            sizes_by_study[id(run.study)] = sizes.get(key)
        network = sizes_by_study[id(run.study)]
        try:
            count = 0 if network is None else network.sum_for(run.spec.tasks)
        except KeyError:
            count = 0
        is_known &= count > 0
        missing += 0 if has_weights(run.directory) else count
        (automatic if setting == "auto" else chosen).append(count)
    free = _find_free_bytes(plan.directory)
    executor = plan.study.executor
    has_separate_files = isinstance(executor, RayConfig) and not executor.shared
    # The rest of a run's files, most of all its predictions, may take the other half.
    is_sendable = not has_separate_files or max(automatic, default=0) < MAX_BYTES // 2
    setting = plan.study.training.keep_weights
    return KeptWeights(setting, tuple(chosen), tuple(automatic), is_known, is_sendable, missing, free)


def decide_after_check(plan: Plan, runs: Sequence[PlannedRun], sizes: Mapping[str, WeightSizes]) -> KeptWeights:
    """Decide with the sizes that a sweep's check of the networks has found, which are stored for later commands.

    Args:
        plan: runs of the study.
        runs: runs whose networks were checked.
        sizes: Sizes of these networks by `Network.key`.
    """
    cache = find_cache_folder(plan.study.data)
    for network in find_distinct_networks(plan, runs):
        write_sizes(cache, network, sizes[network.key])
    try:
        return decide_kept_weights(plan, check_planned_networks(plan))
    except ConfigError:  # a network of finished runs that this version cannot build; runs to train were checked
        return decide_kept_weights(plan, sizes)


def list_lacking(plan: Plan, decision: KeptWeights) -> list[PlannedRun]:
    """Return the finished runs that keep their weights by this decision, but have none."""
    return [
        run for run in plan.runs if decision.keeps(run) and is_done(run.directory) and not has_weights(run.directory)
    ]


def describe_lacking(runs: Sequence[PlannedRun]) -> str:
    """Return one line about finished runs without weights, and the command that trains them again."""
    count = "1 finished run has" if len(runs) == 1 else f"{len(runs)} finished runs have"
    return f"{count} no weights; `usaggr sweep --weights` of the same study trains again for them, to the same numbers"


def _find_free_bytes(directory: Path) -> int:
    """Return the free bytes of the disk of a folder that may not exist yet."""
    folder = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.is_dir())
    return shutil.disk_usage(folder).free


def _describe_amount(sizes: Sequence[int]) -> str:
    """Return the number of runs, the size of the weights of each, and their sum.

    >>> _describe_amount([71_000_000, 71_000_000])
    '2 runs x 71 MB = 142 MB'
    >>> _describe_amount([600_000, 71_000_000])
    '2 runs x 0.6 to 71 MB = 71.6 MB'
    """
    smallest, largest = _format_bytes(min(sizes)), _format_bytes(max(sizes))
    if smallest.split()[1] == largest.split()[1]:
        smallest = smallest.split()[0]
    each = largest if smallest in largest.split() else f"{smallest} to {largest}"
    return f"{len(sizes)} run{'s' if len(sizes) > 1 else ''} x {each} = {_format_bytes(sum(sizes))}"


def _format_bytes(count: int) -> str:
    """Format a number of bytes in powers of ten, as disks are sold.

    >>> [_format_bytes(n) for n in (0, 615_304, 71_000_000, 9_999_000_000, 5_500_000_000_000)]
    ['0 MB', '0.62 MB', '71 MB', '9.999 GB', '5500 GB']
    """
    amount, unit = (count / 1000**3, "GB") if count >= 1000**3 else (count / 1000**2, "MB")
    digits = 2 if amount < 1 else 4 if unit == "GB" else 3
    return f"{amount:.{digits}g} {unit}" if amount < 1000 else f"{amount:.0f} {unit}"

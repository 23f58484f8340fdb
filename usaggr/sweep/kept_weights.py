"""Decision on whether runs keep their trained weights, where `training.keep_weights` is `auto`.

Either all runs of a plan with `auto` keep them, or none does: they do if the weights of all runs are less than 10 GB,
and the executor can send them. `usaggr plan`, `sweep` and `train` use `decide_kept_weights`. Executors get studies in
which `scored` or `none` replaces `auto`, so that jobs on other machines decide nothing.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from usaggr.config.executor import RayConfig
from usaggr.config.study import StudyConfig
from usaggr.data.read.paths import find_cache_folder
from usaggr.document.display_names import pluralize
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
"""Limit in bytes for the weights of all planned runs together; if they reach it, runs with `auto` keep none."""


@dataclass(frozen=True)
class KeptWeights:
    """The decision for a plan, with the facts that it depends on."""

    setting: str
    """`training.keep_weights` of the study."""
    chosen: tuple[int, ...]
    """Bytes of the weights of each run with `scored`, which a user or variant sets, or a run that starts from them."""
    automatic: tuple[int, ...]
    """Bytes of the weights of each run with `auto`."""
    is_known: bool
    """True if the sizes of all networks are known; an unknown size counts as 0 in `chosen` and `automatic`."""
    is_sendable: bool
    """True if the executor can send each run with its weights from its node, or does not have to send it."""
    missing: int
    """Bytes that are still to be written if all runs of `chosen` and `automatic` keep their weights."""
    free: int
    """Free bytes on the disk that holds the results."""

    @property
    def keeps_automatic(self) -> bool:
        """True if runs with `auto` keep their weights."""
        if not self.automatic or not self.is_known or not self.is_sendable:
            return False
        return sum(self.chosen) + sum(self.automatic) < LIMIT_BYTES

    def resolve(self, study: StudyConfig) -> StudyConfig:
        """Return a run's study with `scored` or `none` in place of `auto`; this does not change the run's numbers."""
        if study.training.keep_weights != "auto":
            return study
        value = "scored" if self.keeps_automatic else "none"
        return study.model_copy(update={"training": study.training.model_copy(update={"keep_weights": value})})

    def keeps(self, run: PlannedRun) -> bool:
        """Return whether a run keeps its weights."""
        return self.resolve(run.study).training.keep_weights == "scored"

    def describe(self) -> str:
        """Return the decision, its reason and the free space in one line."""
        if self.automatic:
            text = self._describe_automatic()
        elif self.chosen:
            text = self._describe_chosen()
        else:
            return "weights: none are kept (training.keep_weights=none)"
        # `missing` counts all runs, so it is too high if the runs with `auto` keep no weights but others do.
        keeps_all = self.keeps_automatic or not self.automatic
        warning = (
            ", too little; training.keep_weights=none needs none" if keeps_all and self.missing > self.free else ""
        )
        return f"weights: {text}; {_format_bytes(self.free)} are free on this disk{warning}"

    def _describe_automatic(self) -> str:
        """Describe the decision for a plan that has runs with `auto`."""
        amount = _describe_amount([*self.chosen, *self.automatic])
        if self.keeps_automatic:
            return f"kept of {amount}, less than 10 GB (training.keep_weights=auto)"
        if not self.is_known:
            text = "not kept, because the size of the networks is not known (training.keep_weights=auto)"
        elif not self.is_sendable:
            limit = _format_bytes(MAX_BYTES)
            text = f"not kept, because nodes of Ray send at most {limit} of a run (executor.shared=false)"
        else:
            text = f"not kept of {amount}, not less than 10 GB (training.keep_weights=auto; scored keeps them)"
        if self.chosen:
            text += f"; kept of the {_describe_amount(self.chosen)} that others start from or whose variant says so"
        return text

    def _describe_chosen(self) -> str:
        """Describe the decision for a plan in which no run has `auto`, but some have `scored`."""
        reason = "training.keep_weights=scored"
        if self.setting != "scored":
            reason += " of a variant, or others start from them"
        count = pluralize(len(self.chosen), "run")
        amount = _describe_amount(self.chosen) if self.is_known else f"{count} of unknown size"
        return f"kept of {amount} ({reason})"


def decide_kept_weights(plan: Plan, sizes: Mapping[str, WeightSizes]) -> KeptWeights:
    """Decide for all planned runs, finished or not, so that a later sweep of the same plan decides the same.

    Args:
        plan: Runs of the study.
        sizes: Sizes of its networks by `Network.key`; sizes that are lacking are unknown.
    """
    chosen: list[int] = []
    automatic: list[int] = []
    is_known, missing = True, 0
    # Computed once per study: runs share their studies, and there may be ten thousand runs.
    sizes_by_study: dict[int, WeightSizes | None] = {}
    for run in plan.runs:
        study = run.study
        if study.training.keep_weights == "none":
            continue
        if id(study) not in sizes_by_study:
            sizes_by_study[id(study)] = sizes.get(make_network_key(study.model, study.data.input_size))
        n_bytes = _sum_weights(sizes_by_study[id(study)], run.spec.tasks)
        if n_bytes == 0:
            is_known = False
        if not has_weights(run.directory):
            missing += n_bytes
        if study.training.keep_weights == "auto":
            automatic.append(n_bytes)
        else:
            chosen.append(n_bytes)
    return KeptWeights(
        setting=plan.study.training.keep_weights,
        chosen=tuple(chosen),
        automatic=tuple(automatic),
        is_known=is_known,
        is_sendable=_is_sendable(plan.study, max(automatic, default=0)),
        missing=missing,
        free=_find_free_bytes(plan.directory),
    )


def _sum_weights(sizes: WeightSizes | None, tasks: Sequence[str]) -> int:
    """Return the bytes of a network's weights with the heads of these tasks; 0 if they are unknown."""
    if sizes is None:
        return 0
    try:
        return sizes.sum_for(tasks)
    except KeyError:  # the sizes do not contain the head of a task
        return 0


def _is_sendable(study: StudyConfig, largest: int) -> bool:
    """Return whether the executor can send a run with weights of `largest` bytes from the node that trained it.

    Only Ray without a shared file system sends runs at all; other executors write to the folder of the results.
    """
    if not isinstance(study.executor, RayConfig) or study.executor.shared:
        return True
    # The other half is left for the run's further files, which are mainly its predictions.
    return largest < MAX_BYTES // 2


def decide_after_check(plan: Plan, runs: Sequence[PlannedRun], sizes: Mapping[str, WeightSizes]) -> KeptWeights:
    """Store the sizes of the networks that a sweep has checked, and decide with them and those stored before.

    Later commands, such as `usaggr plan`, read the stored sizes.

    Args:
        plan: Runs of the study.
        runs: Runs whose networks were checked.
        sizes: Sizes of these networks by `Network.key`.
    """
    cache = find_cache_folder(plan.study.data)
    for network in find_distinct_networks(plan, runs):
        write_sizes(cache, network, sizes[network.key])
    try:
        return decide_kept_weights(plan, check_planned_networks(plan))
    except ConfigError:
        # This version cannot build a network of finished runs, whose size remains unknown. Runs to train were checked.
        return decide_kept_weights(plan, sizes)


def list_lacking(plan: Plan, decision: KeptWeights) -> list[PlannedRun]:
    """Return the finished runs that have no weights, although the decision is that they keep them."""
    return [
        run for run in plan.runs if decision.keeps(run) and is_done(run.directory) and not has_weights(run.directory)
    ]


def describe_lacking(runs: Sequence[PlannedRun]) -> str:
    """Return one line about finished runs that lack their weights, with the command that trains them again."""
    count = "1 finished run has" if len(runs) == 1 else f"{len(runs)} finished runs have"
    return f"{count} no weights; `usaggr sweep --weights` of the same study trains again for them, to the same numbers"


def _find_free_bytes(directory: Path) -> int:
    """Return the free bytes of the disk of a folder; if it does not exist yet, of its first parent that does."""
    absolute = directory.absolute()
    existing_folder = next(path for path in (absolute, *absolute.parents) if path.is_dir())
    return shutil.disk_usage(existing_folder).free


def _describe_amount(sizes: Sequence[int]) -> str:
    """Describe the number of runs, the weights of each run (one size, or the smallest and largest), and their sum.

    Args:
        sizes: Bytes of the weights of each run; at least one.

    >>> _describe_amount([71_000_000, 71_000_000])
    '2 runs x 71 MB = 142 MB'
    >>> _describe_amount([600_000, 71_000_000])
    '2 runs x 0.6 to 71 MB = 71.6 MB'
    """
    smallest, largest = _format_bytes(min(sizes)), _format_bytes(max(sizes))
    amount, unit = smallest.split()
    if smallest == largest:
        per_run = largest
    elif largest.endswith(unit):
        per_run = f"{amount} to {largest}"
    else:
        per_run = f"{smallest} to {largest}"
    return f"{pluralize(len(sizes), 'run')} x {per_run} = {_format_bytes(sum(sizes))}"


def _format_bytes(count: int) -> str:
    """Format a number of bytes in powers of ten, as disks are sold.

    >>> [_format_bytes(n) for n in (0, 615_304, 71_000_000, 9_999_000_000, 5_500_000_000_000)]
    ['0 MB', '0.62 MB', '71 MB', '9.999 GB', '5500 GB']
    >>> [_format_bytes(n) for n in (999_499_999, 999_500_000)]
    ['999 MB', '1 GB']
    """
    # From 999.5 MB on, three digits would round to 1e+03 MB.
    amount, unit = (count / 1000**3, "GB") if count >= 999_500_000 else (count / 1000**2, "MB")
    # The fourth digit of gigabytes distinguishes 9.999 GB from the limit.
    digits = 2 if amount < 1 else 4 if unit == "GB" else 3
    return f"{amount:.{digits}g} {unit}" if amount < 1000 else f"{amount:.0f} {unit}"

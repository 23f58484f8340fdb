"""What aggregation does, by the amount of training data, by task type and by clinical group; and the paper's claims.

Means over tasks keep these fixed; intervals cover seeds and test subjects (subjects alone, with one seed), taken
jointly over all tasks and scales of a row, on the seeds that they have in common.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from usaggr.analysis.compare_study import StudyComparison
from usaggr.analysis.weighted_sums import Compared
from usaggr.report.claims.tables import make_claims
from usaggr.report.scale.group_means import consistency, sensitivity, spreads
from usaggr.report.scale.slopes import between, crossings, slopes


@dataclass(frozen=True)
class Interplay:
    """Tables of the report's chapters on data scale, task type, clinical groups and the paper's claims.

    Each is made of the main metric of all cells that differ from the reference (valid_only False), and again of those
    where neither side is collapsed or unconverged (True). Units: relative change, or skill.
    """

    slopes: pd.DataFrame
    """Change of the difference per tenfold training samples, within tasks. level: all (mean over tasks), type, task, or
    difference (of two types; scope `a - b`). left_out: tasks whose sizes do not bear a slope. p_adjusted: Holm's, over
    the rows of one variant, grouping, level and unit."""
    crossings: pd.DataFrame
    """Size at which the line of the difference is zero, with Fieller's interval; why says why there is none. helps:
    above or below, where sharing helps."""
    between: pd.DataFrame
    """Association of the difference with log10 of size at the largest scale, over tasks and over clinical groups."""
    sensitivity: pd.DataFrame
    """Mean difference of each task type."""
    consistency: pd.DataFrame
    """Mean difference of each clinical group; n_train: training samples of all its tasks."""
    spread: pd.DataFrame
    """Standard deviation over clinical groups of their true mean differences; left_out: groups without comparison."""
    claims: pd.DataFrame
    """The paper's claims (a) to (d): see claims.CLAIM_COLUMNS."""


def make_interplay(comparison: StudyComparison) -> Interplay:
    """Return all tables, from the verdicts of a study and the pseudo-values under them."""
    study, tables = comparison.study, comparison.weighted_sums
    main = comparison.verdicts[comparison.verdicts["main"]]
    known = main[main["delta"].notna()]
    found: dict[str, list[pd.DataFrame]] = {}
    for valid_only in (False, True):
        if valid_only and known["valid"].all():
            found = {name: [*parts, parts[0].assign(valid_only=True)] for name, parts in found.items()}
            break
        compared = Compared(known[known["valid"]] if valid_only else known, main, tables, study.confidence)
        frames = {
            "slopes": slopes(compared), "crossings": crossings(compared), "between": between(compared),
            "sensitivity": sensitivity(compared), "consistency": consistency(compared), "spread": spreads(compared),
        }  # fmt: skip
        frames["claims"] = make_claims(study, compared, frames["slopes"], frames["between"])
        for name, frame in frames.items():
            found.setdefault(name, []).append(frame.assign(valid_only=valid_only))
    return Interplay(**{name: _joined(parts) for name, parts in found.items()})


def _joined(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else parts[0]

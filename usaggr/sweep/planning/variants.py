"""Variants of a study: its configuration with the overrides of each variant, and with those of second stages."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from usaggr.config.compose import apply_variant
from usaggr.config.section import FINGERPRINTED, get_result_settings
from usaggr.config.study import StudyConfig
from usaggr.models.weights import check_weights
from usaggr.sweep.planning.balancing_checks import check_balancing, check_sampling
from usaggr.sweep.planning.grouping import Grouping
from usaggr.sweep.planning.stages import make_second_stage_study

VariantKey = tuple[str, tuple[str, ...]]
"""Name of a variant, and the overrides of a second stage; these are empty for a first or only stage."""


@dataclass(frozen=True)
class AppliedVariant:
    """A study with the overrides of a variant and of a second stage; its runs share these values."""

    name: str
    study: StudyConfig
    settings: dict[str, Any]
    """Sections and keys of the configuration that can change a result."""
    settings_text: str
    """`settings` as JSON with sorted keys, as fingerprints contain them."""
    weights_hash: str | None
    """Hash of the file with pretrained weights; None without such a file."""


def apply_variants(study: StudyConfig, groupings: Mapping[str, Grouping]) -> dict[VariantKey, AppliedVariant]:
    """Apply each variant of a study, alone and with the overrides of each staged grouping.

    Args:
        study: the study without overrides.
        groupings: groupings of the study by name.

    Raises:
        ConfigError: an override is invalid, a package or a weights file is missing, or settings do not go together.
    """
    applied: dict[VariantKey, AppliedVariant] = {}
    for name, overrides in study.variants.items():
        applied[name, ()] = _make_applied_variant(name, apply_variant(study, overrides))
        for grouping in groupings.values():
            if grouping.staging is None:
                continue
            second = make_second_stage_study(study, tuple(overrides), grouping)
            check_sampling(second.training, grouping.name)
            if (name, grouping.staging.overrides) not in applied:
                applied[name, grouping.staging.overrides] = _make_applied_variant(name, second)
    return applied


def _make_applied_variant(name: str, study: StudyConfig) -> AppliedVariant:
    check_balancing(study.training)
    settings = {section: get_result_settings(getattr(study, section)) for section in FINGERPRINTED}
    return AppliedVariant(name, study, settings, json.dumps(settings, sort_keys=True), check_weights(study.model))

"""New keys that cannot change a result leave fingerprints as they were, so finished runs are still recognized."""

import json
from pathlib import Path

import pytest

from usaggr.config.compose import compose_study
from usaggr.config.section import FINGERPRINTED, get_result_settings
from usaggr.results.spec import compute_fingerprint, compute_fingerprint_of_json

STORED_FINGERPRINTS = {
    ("demo", "data=fmuia", "model=tiny"): "95b16549895ff7c82f6364870fdbf32938780ae4f015e36a75b7fe61bbbd17d3",
    ("paper", "data=fmuia", "model=m2dino_tiny"): "b7807ef1682b6455f01ec34931cfc74df7e129eb624521c75b4efa9e7bd98afb",
}
"""Fingerprints from before `training.checkpoint` was a key.

They change only on purpose: with a key that changes results, its default in `conf/` or `sweeps/`, or
`schema_version`. All finished runs are then trained again.
"""


@pytest.mark.parametrize("words", STORED_FINGERPRINTS, ids=" ".join)
def test_a_recorded_fingerprint_does_not_change(tmp_path: Path, words: tuple[str, ...]) -> None:
    study = compose_study(words[0], [*words[1:], f"data.root={tmp_path}", f"outputs={tmp_path}"])
    settings = {section: get_result_settings(getattr(study, section)) for section in FINGERPRINTED}
    samples = {"lung_2cls": ("b.png", "a.png"), "ovary_tumor": ("c.png",)}
    content_seed_window_parent = ("0" * 64, 3, None, None)
    fingerprint = compute_fingerprint(settings, tuple(samples), samples, *content_seed_window_parent)
    assert fingerprint == STORED_FINGERPRINTS[words], json.dumps(settings, sort_keys=True)
    texts = {task: json.dumps(ids) for task, ids in samples.items()}
    assert (
        compute_fingerprint_of_json(
            json.dumps(settings, sort_keys=True), tuple(samples), texts, *content_seed_window_parent
        )
        == fingerprint
    )

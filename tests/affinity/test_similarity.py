"""Similarities without training: features against an independent optimum, routing from finished runs."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from tests.affinity.runs import unified
from usaggr.affinity.feature_similarity import compute_domain_similarity, compute_feature_similarity
from usaggr.affinity.routing_affinity import check_has_router, compute_run_similarity
from usaggr.errors import ConfigError, RunError
from usaggr.progress import NoProgress


def test_the_earth_movers_distance_is_the_best_of_all_assignments() -> None:
    features = np.random.default_rng(0).normal(size=(3, 4, 2))
    scaled = features / features.reshape(-1, 2).std(axis=0)
    distances = np.zeros((3, 3))
    for a in range(3):
        for b in range(3):
            image_distances = np.linalg.norm(scaled[a][:, None] - scaled[b], axis=-1)
            distances[a, b] = min(
                np.mean([image_distances[i, j] for i, j in enumerate(p)]) for p in permutations(range(4))
            )
    typical = np.median(distances[np.tril_indices(3, -1)])
    assert compute_domain_similarity(features) == pytest.approx(np.exp(-distances / typical))


def test_tasks_with_similar_images_have_a_higher_similarity() -> None:
    rng = np.random.default_rng(1)
    near, far = rng.normal(size=(2, 40, 8)), rng.normal(3.0, 1.0, size=(1, 40, 8))
    similarity = compute_domain_similarity(np.concatenate([near, far]))
    assert similarity[0, 1] > max(similarity[0, 2], similarity[1, 2])
    assert np.allclose(np.diag(similarity), 1)
    assert (compute_domain_similarity(np.ones((2, 3, 4))) == 1).all()


@pytest.mark.slow
def test_features_are_those_of_the_network_at_its_start_and_the_same_again(tmp_path: Path) -> None:
    run, data = unified(tmp_path)
    similarity, images = compute_feature_similarity(run.study, data, 0, NoProgress())
    again, _ = compute_feature_similarity(run.study, data, 0, NoProgress())
    other, _ = compute_feature_similarity(run.study, data, 1, NoProgress())
    assert similarity.shape == (4, 4)
    assert images == min(len(samples) for samples in data.train.values())
    assert np.array_equal(similarity, again)
    assert not np.array_equal(similarity, other)


def test_missing_routing_is_refused_with_the_remedy(tmp_path: Path) -> None:
    run, _ = unified(tmp_path, "model=m2dino_tiny", "data.channels=3")
    check_has_router(run.study.model)
    with pytest.raises(ConfigError, match=r"routing: the unified run of seed 0 at scale 1 is not done.*usaggr sweep"):
        compute_run_similarity(run)
    run.directory.mkdir(parents=True)
    (run.directory / "result.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"has no routing\.csv"):
        compute_run_similarity(run)
    head = "task,block,expert,share,chosen,probability,entropy"
    (run.directory / "routing.csv").write_text(f"{head}\ncls,1,1,1,1,1,0\n")
    with pytest.raises(RunError, match="not one row for each task"):
        compute_run_similarity(run)
    shares = {"cls": (1.0, 0.0), "det": (1.0, 0.0), "reg": (0.0, 1.0), "seg": (0.5, 0.5)}
    routing_rows = [
        f"{task},1,{expert},{share},{share},{share},0.5"
        for task, expert_shares in shares.items()
        for expert, share in enumerate(expert_shares, 1)
    ]
    (run.directory / "routing.csv").write_text("\n".join([head, *routing_rows]))
    similarity = compute_run_similarity(run)
    assert similarity[0, 1] == pytest.approx(1.0)
    assert similarity[0, 2] == pytest.approx(0.0)
    assert 0 < similarity[0, 3] < 1


def test_a_network_without_a_router_is_refused(tmp_path: Path) -> None:
    run, _ = unified(tmp_path)
    with pytest.raises(ConfigError, match=r"routing: model\.name=mh_mtl routes no tokens"):
        check_has_router(run.study.model)

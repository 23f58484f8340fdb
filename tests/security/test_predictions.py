"""Untrusted folders of predictions: nothing outside the folder is read, and no file fills the memory."""

from pathlib import Path

import numpy as np
import pytest

from tests.challenge.factories import Made
from tests.security.test_images import png, size, zero_pixels
from usaggr.challenge.evaluate import Evaluation
from usaggr.challenge.layout import JSON_FILES
from usaggr.errors import DataError

TRUTH = np.tile(np.arange(16, dtype=np.uint8) // 8, (16, 1))


@pytest.fixture
def made(tmp_path: Path) -> Made:
    made = Made(tmp_path / "data", tmp_path / "predictions")
    made.segmentation("t", 2, [TRUTH, TRUTH], [TRUTH, TRUTH])
    return made


def evaluated(made: Made) -> Evaluation:
    return made.evaluated(made.root.parent / "cache")


def test_a_mask_that_would_fill_the_memory_is_not_decoded(made: Made) -> None:
    (made.folder / "Segmentation" / "t" / "MASKS" / "0.png").write_bytes(png(size(60000), zero_pixels(1 << 20)))
    (finding,) = evaluated(made).findings
    assert finding.kind == "unusable"
    assert "has 60000 x 60000 pixels (height x width), more than data.max_pixels" in finding.message


@pytest.mark.parametrize("target", ["/dev/zero", "/etc/passwd", "../../../../data/Segmentation/t/MASKS/0.png"])
def test_a_mask_is_not_read_from_elsewhere(made: Made, target: str) -> None:
    path = made.folder / "Segmentation" / "t" / "MASKS" / "0.png"
    path.unlink()
    path.symlink_to(target)
    assert path.exists()
    (finding,) = evaluated(made).findings
    assert finding.kind == "unusable"
    assert "not a regular file within the folder of predictions" in finding.message


def test_records_are_not_read_from_elsewhere(made: Made) -> None:
    (made.folder / JSON_FILES["detection"]).symlink_to("/dev/zero")
    with pytest.raises(DataError, match="not a regular file within the folder of predictions"):
        evaluated(made)

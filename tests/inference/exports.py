"""Check of an exported file against the model that it was made from."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import usaggr
from usaggr.data.batches.resizing import resize_image
from usaggr.inference.loaded_model import Model
from usaggr.inference.result_types import ClassificationResult


def check_export(run: Path, file: Path, conditioned: bool) -> None:
    """Check that outputs agree to 1e-4 (of the largest, if above 1) for 1 and 3 images, read as the card describes."""
    card = json.loads(file.with_suffix(".json").read_text())
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    model = usaggr.load(run)
    assert [output.name for output in session.get_outputs()] == list(model.tasks)
    assert [graph_input.name for graph_input in session.get_inputs()] == list(card["input"])
    assert ("task" in card["input"]) == conditioned
    size = card["preprocessing"]["before_the_graph"]["size"]
    for count in (1, 3):
        pixels = np.random.default_rng(count).integers(0, 256, (count, *size, 3), dtype=np.uint8)
        feed: dict[str, Any] = {"images": pixels.transpose(0, 3, 1, 2).astype(np.float32)}
        for task in card["tasks"]:
            if conditioned:
                feed["task"] = np.full(count, card["input"]["task"]["places"][task["id"]])
            (exported,) = session.run([task["output"]["name"]], feed)
            assert list(exported.shape) == [count, *task["output"]["shape"][1:]]
            expected = model.outputs(pixels, task["id"])
            expected = expected.softmax(dim=1) if task["type"] == "classification" else expected
            np.testing.assert_allclose(exported, expected.numpy(), atol=1e-4 * max(1.0, float(expected.abs().max())))
    assert card["file"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    _as_the_card_says(session, model, card)


def _as_the_card_says(session: Any, model: Model, card: dict[str, Any]) -> None:
    """Predict an image at its original size with the file, using only what the card describes."""
    image = np.random.default_rng(7).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    height, width = card["preprocessing"]["before_the_graph"]["size"]
    resized = resize_image(image, (height, width)).astype(np.float32).transpose(2, 0, 1)[None]
    feed: dict[str, Any] = {"images": resized}
    if "task" in card["input"]:
        feed["task"] = np.array([card["input"]["task"]["places"]["cls"]])
    result = model.predict(image, "cls")
    assert isinstance(result, ClassificationResult)
    np.testing.assert_allclose(session.run(["cls"], feed)[0][0], result.probabilities, atol=1e-4)

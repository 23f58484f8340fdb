"""Validation curve of a run: losses and scores after each interval, and the best weights so far."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from usaggr.io.bounded_content import parse_json
from usaggr.metrics.names import get_main_metric
from usaggr.results.curve import write_curve
from usaggr.results.run_result import Scores
from usaggr.tasks import Task
from usaggr.training.scoring import compute_mean_skill


class Curve:
    """Rows of curve.csv, and a copy of the weights with the highest mean skill on the validation set.

    Args:
        tasks: Tasks of the run by id.
        trivial: Scores of the trivial predictor on the validation set.
        steps: Number of training steps of the whole run.
        keep_best: Score the weights of the best validation; otherwise the last weights, and no copy is kept.
    """

    def __init__(self, tasks: Mapping[str, Task], trivial: Scores, steps: int, keep_best: bool) -> None:
        self._tasks = tasks
        self._trivial = trivial
        self._steps = steps
        self._keep_best = keep_best
        self._rows: list[dict[str, float]] = []
        self._scores: list[Scores] = []
        self._best_skill = float("-inf")
        self._best: tuple[int, dict[str, Tensor]] | None = None

    @property
    def skill(self) -> float:
        """Mean skill over tasks at the latest validation."""
        return self._rows[-1]["skill"]

    def add(
        self,
        step: int,
        learning_rate: float,
        training_loss: float,
        val_losses: Mapping[str, float],
        scores: Scores,
        usage: Mapping[str, float],
        network: nn.Module,
    ) -> None:
        """Add one validation.

        Args:
            step: Number of training steps done.
            learning_rate: Current learning rate of the heads.
            training_loss: Mean loss of the samples since the previous validation.
            val_losses: Task id: mean loss of its validation samples.
            scores: Scores on the validation set.
            usage: Expert usage and learned task weights by column name of curve.csv; empty without them.
            network: Network with the current weights.
        """
        skill = compute_mean_skill(scores, self._trivial, self._tasks.values())
        row = {
            "step": float(step),
            "progress": step / self._steps,
            "learning_rate": learning_rate,
            "training_loss": training_loss,
            "val_loss": sum(val_losses.values()) / len(val_losses),
            "skill": skill,
            **usage,
        }
        for task in self._tasks.values():
            name = get_main_metric(task.type).name
            row[f"{task.id}:val_loss"] = val_losses[task.id]
            if name in scores[task.id]:
                row[f"{task.id}:{name}"] = scores[task.id][name]
        self._rows.append(row)
        self._scores.append(scores)
        if self._keep_best and skill > self._best_skill:
            self._best_skill = skill
            # A copy: the tensors of a state_dict change as training continues.
            self._best = (len(self._rows) - 1, copy.deepcopy(network.state_dict()))

    def make_state(self) -> dict[str, Any]:
        """Return all that was added, for a checkpoint, as strings, numbers and tensors."""
        best = None if self._best is None else [self._best[0], dict(self._best[1])]
        # JSON keeps every digit of a float. numpy's types, which a checkpoint may not hold, become plain numbers.
        rows_json = json.dumps({"rows": self._rows, "scores": self._scores}, default=float)
        return {"rows": rows_json, "best_skill": float(self._best_skill), "best": best}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Replace the curve by one whose `state` was stored."""
        content = parse_json(state["rows"])
        self._rows, self._scores = content["rows"], content["scores"]
        self._best_skill = state["best_skill"]
        self._best = None if state["best"] is None else (state["best"][0], state["best"][1])

    def load_scored_weights(self, network: nn.Module) -> Scores:
        """Load the weights that are to be scored into the network; return their scores on the validation set."""
        if self._best is None:
            return self._scores[-1]
        row, weights = self._best
        network.load_state_dict(weights)
        return self._scores[row]

    def write(self, path: Path) -> None:
        """Write curve.csv, with one row per validation."""
        write_curve(path, self._rows)

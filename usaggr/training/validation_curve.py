"""A run's validation curve: what is known after each part of it, and the weights that were best."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from usaggr.metrics.names import main_metric
from usaggr.results.curve import write_curve
from usaggr.results.run_result import Scores
from usaggr.tasks import Task
from usaggr.training.scoring import mean_skill


class Curve:
    """Rows of curve.csv. Keeps the weights with the highest mean skill on validation, where those are to be scored."""

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
        """Mean skill over tasks at the last validation."""
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
        """Write down one validation: losses are means over the part's samples and over the fold's.

        `usage` says how experts are used, and what weights of tasks are learnt, by the names of its columns; empty
        where there is none of it.
        """
        skill = mean_skill(scores, self._trivial, self._tasks.values())
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
            name = main_metric(task.type).name
            row[f"{task.id}:val_loss"] = val_losses[task.id]
            if name in scores[task.id]:
                row[f"{task.id}:{name}"] = scores[task.id][name]
        self._rows.append(row)
        self._scores.append(scores)
        if self._keep_best and skill > self._best_skill:
            self._best_skill = skill
            self._best = (len(self._rows) - 1, copy.deepcopy(network.state_dict()))

    def state(self) -> dict[str, Any]:
        """All that was added, for a checkpoint: texts, numbers and tensors."""
        best = None if self._best is None else [self._best[0], dict(self._best[1])]
        # JSON keeps each float as it is, and makes plain ones of numpy's.
        rows = json.dumps({"rows": self._rows, "scores": self._scores}, default=float)
        return {"rows": rows, "best_skill": float(self._best_skill), "best": best}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Be what another curve was when it gave its state."""
        found = json.loads(state["rows"])
        self._rows, self._scores = found["rows"], found["scores"]
        self._best_skill = state["best_skill"]
        self._best = None if state["best"] is None else (state["best"][0], state["best"][1])

    def settle(self, network: nn.Module) -> Scores:
        """Give the network the weights that are to be scored; returns their scores on validation."""
        if self._best is None:
            return self._scores[-1]
        row, weights = self._best
        network.load_state_dict(weights)
        return self._scores[row]

    def write(self, path: Path) -> None:
        """Write curve.csv, a row a validation."""
        write_curve(path, self._rows)

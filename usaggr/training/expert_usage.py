"""How a run's experts are used: for each task, block and expert, its share of the tokens of a fold."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from usaggr.metrics.dead_experts import dead_experts
from usaggr.models.experts import shares
from usaggr.models.per_task import Routed
from usaggr.results.routing import COLUMNS, write_routing


class ExpertUsage:
    """Sums over the tokens of a fold, batch by batch, each sample counted for its own task."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, int], NDArray[np.float64]] = {}
        """Task and block: rows share, chosen, probability, entropy, number, by expert."""

    def add(self, routing: Mapping[int, Routed], rows: Mapping[str, Tensor]) -> None:
        """Count a batch.

        Args:
            routing: by block, from 0; empty where nothing is routed.
            rows: task id: places of its samples in the batch, (n,) int64.
        """
        for block, routed in routing.items():
            measured = _measured(routed)
            for task_id, places in rows.items():
                if len(places):
                    found = measured[:, places].sum(dim=(1, 2)).double().cpu().numpy()
                    key = (task_id, block)
                    self._sums[key] = self._sums.get(key, np.zeros_like(found)) + found

    def table(self) -> pd.DataFrame:
        """A row a task, block and expert: means over the task's tokens. Empty where nothing was routed."""
        found = []
        for (task_id, block), (share, chosen, probability, entropy, number) in sorted(self._sums.items()):
            for expert, tokens in enumerate(number):
                means = (values[expert] / tokens for values in (share, chosen, probability, entropy))
                found.append((task_id, block + 1, expert + 1, *means, int(tokens)))
        return pd.DataFrame(found, columns=list(COLUMNS))

    def summary(self) -> dict[str, float]:
        """Mean entropy over tasks and blocks, in [0, 1], and the number of dead experts; nothing without routing."""
        table = self.table()
        if table.empty:
            return {}
        by_expert = table.pivot(index=["task", "block"], columns="expert", values="share").to_numpy()
        by_task = by_expert.reshape(table["task"].nunique(), -1, by_expert.shape[1])
        return {"expert_entropy": float(table["entropy"].mean()), "dead_experts": int(dead_experts(by_task).sum())}

    def write(self, path: Path) -> None:
        """Write routing.csv, if anything was routed."""
        write_routing(path, self.table())


def _measured(routed: Routed) -> Tensor:
    """(5, N, T, E): share, chosen, probability, entropy and 1, of each token."""
    probabilities = routed.probabilities.detach()
    chosen = torch.zeros_like(probabilities).scatter(-1, routed.chosen, 1.0)
    entropy = torch.special.entr(probabilities).sum(dim=-1, keepdim=True) / np.log(probabilities.shape[-1])
    one = torch.ones_like(probabilities)
    return torch.stack([shares(routed).detach(), chosen, probabilities, entropy.expand_as(one), one])

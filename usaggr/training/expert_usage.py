"""Usage of a run's experts: for each task, block and expert, means over the tokens of a validation or test set."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from usaggr.metrics.dead_experts import find_dead_experts
from usaggr.models.experts import compute_shares
from usaggr.models.per_task import BlockRouting
from usaggr.results.routing import COLUMNS, write_routing


class ExpertUsage:
    """Sums over the tokens of a subset, batch by batch; each sample counts for its own task."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, int], NDArray[np.float64]] = {}
        """(task id, block): (5, E) sums of share, chosen, probability, entropy and number of tokens by expert."""

    def add(self, routing: Mapping[int, BlockRouting], batch_indices: Mapping[str, Tensor]) -> None:
        """Add a batch.

        Args:
            routing: Routing by block index (from 0); empty without experts.
            batch_indices: Task id: indices of its samples in the batch, (n,) int64.
        """
        for block, block_routing in routing.items():
            quantities = _measure_tokens(block_routing)
            for task_id, indices in batch_indices.items():
                if len(indices):
                    sums = quantities[:, indices].sum(dim=(1, 2)).double().cpu().numpy()
                    key = (task_id, block)
                    self._sums[key] = self._sums.get(key, np.zeros_like(sums)) + sums

    def make_table(self) -> pd.DataFrame:
        """Return one row per task, block and expert: means over the task's tokens; empty without experts."""
        table_rows = []
        for (task_id, block), (share, chosen, probability, entropy, number) in sorted(self._sums.items()):
            for expert, tokens in enumerate(number):
                means = (sums[expert] / tokens for sums in (share, chosen, probability, entropy))
                table_rows.append((task_id, block + 1, expert + 1, *means, int(tokens)))  # numbered from 1 in files
        return pd.DataFrame(table_rows, columns=list(COLUMNS))

    def summarize(self) -> dict[str, float]:
        """Return the mean entropy over tasks and blocks, in [0, 1], and the number of dead experts.

        The dictionary is empty without experts.
        """
        table = self.make_table()
        if table.empty:
            return {}
        share_by_expert = table.pivot(index=["task", "block"], columns="expert", values="share").to_numpy()
        share_by_task = share_by_expert.reshape(table["task"].nunique(), -1, share_by_expert.shape[1])
        return {
            "expert_entropy": float(table["entropy"].mean()),
            "dead_experts": int(find_dead_experts(share_by_task).sum()),
        }

    def write(self, path: Path) -> None:
        """Write routing.csv; nothing without experts."""
        write_routing(path, self.make_table())


def _measure_tokens(routing: BlockRouting) -> Tensor:
    """Return share, chosen (0 or 1), probability, entropy in [0, 1], and 1 for each token: (5, N, T, E)."""
    probabilities = routing.probabilities.detach()
    chosen = torch.zeros_like(probabilities).scatter(-1, routing.chosen, 1.0)
    # Divided by log E, so that equal probabilities have entropy 1 for any number of experts.
    entropy = torch.special.entr(probabilities).sum(dim=-1, keepdim=True) / np.log(probabilities.shape[-1])
    ones = torch.ones_like(probabilities)
    return torch.stack([compute_shares(routing).detach(), chosen, probabilities, entropy.expand_as(ones), ones])

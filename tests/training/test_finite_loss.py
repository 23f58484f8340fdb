import pytest
import torch

from usaggr.errors import RunError
from usaggr.training.finite_loss import INTERVAL, LossGuard


def test_a_loss_on_a_cpu_is_looked_at_in_its_step() -> None:
    guard = LossGuard(10)
    guard.add(torch.tensor(1.0), 1, ["lung"])
    with pytest.raises(RunError, match=r"loss is nan at step 2 of 10 \(tasks in the batch: a, b\).*learning_rate"):
        guard.add(torch.tensor(float("nan")), 2, ["b", "a"])


class Elsewhere(torch.Tensor):
    """Tensor that claims to be on a GPU."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cuda")


def elsewhere(value: float) -> torch.Tensor:
    return torch.tensor(value).as_subclass(Elsewhere)


def test_a_loss_on_a_gpu_is_looked_at_later_and_named_by_its_step() -> None:
    guard = LossGuard(1000)
    for step in range(1, INTERVAL):
        guard.add(elsewhere(float("inf") if step == 7 else 1.0), step, ["lung"])
    with pytest.raises(RunError, match="loss is inf at step 7 of 1000"):
        guard.add(elsewhere(1.0), INTERVAL, ["lung"])


def test_unchecked_losses_are_checked_before_a_validation() -> None:
    guard = LossGuard(1000)
    guard.add(elsewhere(float("nan")), 1, ["lung"])
    with pytest.raises(RunError, match="at step 1 of 1000"):
        guard.check()


def test_finite_losses_are_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise each check would take longer than the one before, and all losses would stay in memory."""
    looked_at: list[int] = []
    stack = torch.stack

    def counting(losses: list[torch.Tensor]) -> torch.Tensor:
        looked_at.append(len(losses))
        return stack(losses)

    monkeypatch.setattr(torch, "stack", counting)
    guard = LossGuard(1000)
    for step in (1, 2, 3):
        guard.add(elsewhere(1.0), step, ["lung"])
        guard.check()
    assert looked_at == [1, 1, 1]

"""Group normalization in place of batch normalization."""

import pytest
import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import nn

from usaggr.models.normalization import choose_groups, replace_batch_norm


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, BatchNormAct2d])
def test_group_normalization_keeps_weight_bias_and_epsilon(kind: type[nn.BatchNorm2d]) -> None:
    """Networks start some weights at 0, so that the weights must be replaced by random ones to have an effect."""
    norm = kind(8, eps=2e-3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    network = replace_batch_norm(nn.Sequential(nn.Conv2d(3, 8, 1), norm), "group")
    replaced = network[1]
    assert isinstance(replaced, nn.GroupNorm)
    assert (replaced.num_groups, replaced.eps) == (4, 2e-3)
    assert torch.equal(replaced.weight, norm.weight)
    assert torch.equal(replaced.bias, norm.bias)


@pytest.mark.parametrize(("channels", "groups"), [(1, 1), (3, 1), (8, 4), (32, 16), (48, 24), (96, 32), (512, 32)])
def test_groups_have_at_least_two_channels_and_are_at_most_32(channels: int, groups: int) -> None:
    assert choose_groups(channels) == groups


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, BatchNormAct2d])
def test_frozen_normalization_keeps_its_statistics_in_training_too(kind: type[nn.BatchNorm2d]) -> None:
    norm = kind(4)
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(tensor)  # type: ignore[arg-type]
    nn.init.uniform_(norm.running_var, 0.5, 2.0)  # type: ignore[arg-type]
    maps = torch.randn(3, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    expected = norm.eval()(maps)
    frozen = replace_batch_norm(nn.Sequential(nn.Identity(), norm), "frozen").train()
    assert torch.equal(frozen(maps), expected)
    assert torch.equal(frozen(maps), expected)  # the first call has changed no statistics

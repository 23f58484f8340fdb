"""The part of the schema that says which networks there are: one section each, told apart by `name`."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from usaggr.config.section import Section, key

DEFAULT_PATCH = 16
"""Pixels a side of a patch, where the name of a vision transformer does not tell."""


class MhMtlConfig(Section):
    """The multi-head network of the benchmark's baseline: an encoder with a feature pyramid, and a head a task."""

    name: Literal["mh_mtl"] = key(affects_results=True, doc="the network")
    encoder: str = key(affects_results=True, doc="an encoder's name in segmentation-models-pytorch, or tu- and timm's")
    weights: str | None = key(affects_results=True, doc="null, a local file, or the library's own id")
    decoder_channels: int = key(affects_results=True, doc="width of the shared FPN decoder", ge=32, multiple_of=32)
    norm: Literal["group", "frozen", "batch"] = key(affects_results=True, doc="group, frozen or batch normalisation")
    landmarks: Literal["heatmap", "direct"] = key(affects_results=True, doc="soft-argmax heat maps, or coordinates")
    dropout: float = key(affects_results=True, doc="before a classification head", ge=0, lt=1)
    freeze: Literal["none", "encoder"] = key(affects_results=True, neutral="none", doc="which part is not trained")

    @property
    def stride(self) -> int:
        """Sides of images are multiples of it, in pixels."""
        return 32


class ExpertsConfig(Section):
    """The experts that replace a block's MLP."""

    count: int = key(affects_results=True, doc="experts a block", ge=2)
    top_k: int = key(affects_results=True, doc="experts that serve a token", ge=1)
    router: Literal["task", "token", "uniform"] = key(affects_results=True, doc="what chooses a token's experts")
    task_channels: int = key(affects_results=True, doc="width of a task's embedding", ge=1)
    noise: float = key(affects_results=True, doc="on the experts' first weights, relative to their spread", ge=0)
    balance: float = key(affects_results=True, doc="weight of the load-balancing term", ge=0)

    @model_validator(mode="after")
    def _experts_can_part(self) -> "ExpertsConfig":
        if self.top_k > self.count:
            raise ValueError(f"model.experts.top_k: at most experts.count, which is {self.count}; not {self.top_k}")
        if self.router == "uniform" and self.top_k < self.count:
            raise ValueError(
                "model.experts.router=uniform weighs all experts alike: needs experts.top_k = experts.count"
            )
        if self.router == "uniform" and self.noise == 0:
            raise ValueError(
                "model.experts.router=uniform: experts that start alike and weigh alike never part; "
                "give experts.noise above 0"
            )
        return self


class M2DinoConfig(Section):
    """A plain vision transformer, DINOv3 above all, whose later blocks are conditioned on the task."""

    name: Literal["m2dino"] = key(affects_results=True, doc="the network")
    encoder: str = key(affects_results=True, doc="a plain vision transformer's name in timm")
    weights: str | None = key(affects_results=True, doc="null, a local file, or timm: timm's own of that name")
    patch_size: int | None = key(affects_results=True, doc="pixels a side of a patch; null: the encoder's own", ge=4)
    decoder_channels: int = key(affects_results=True, doc="width of the shared DPT decoder", ge=32, multiple_of=32)
    conditioning: Literal["experts", "none", "lora", "film"] = key(
        affects_results=True, doc="how the MLPs of the conditioned blocks depend on the task"
    )
    conditioned_blocks: list[Annotated[int, Field(ge=1)]] | None = key(
        affects_results=True, doc="first and last, from 1; null: the later half", min_length=2, max_length=2
    )
    experts: ExpertsConfig
    lora_rank: int = key(affects_results=True, doc="of a task's low-rank adapters", ge=1)
    freeze: Literal["none", "early", "backbone"] = key(affects_results=True, doc="which part is not trained")
    layer_decay: float = key(
        affects_results=True, doc="factor on the learning rate from a block to the one before it", gt=0, le=1
    )
    landmarks: Literal["heatmap", "direct"] = key(affects_results=True, doc="soft-argmax heat maps, or coordinates")
    dropout: float = key(affects_results=True, doc="before a classification head", ge=0, lt=1)

    @field_validator("conditioned_blocks")
    @classmethod
    def _in_order(cls, blocks: list[int] | None) -> list[int] | None:
        if blocks is not None and blocks[0] > blocks[1]:
            raise ValueError("the first block, then the last one, such as [7, 12]")
        return blocks

    @property
    def stride(self) -> int:
        """Sides of images are multiples of it, in pixels: a patch."""
        named = re.search(r"_patch(\d+)", self.encoder)
        return self.patch_size or (int(named[1]) if named else DEFAULT_PATCH)


ModelConfig = MhMtlConfig | M2DinoConfig
"""The network, told apart by `name`."""

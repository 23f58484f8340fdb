"""The schema of `model`: one section per network; `name` decides which."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from usaggr.config.section import Section, key

DEFAULT_PATCH = 16
"""Side of a patch in pixels if the name of a vision transformer does not contain it."""


class MhMtlConfig(Section):
    """The multi-head baseline of the benchmark: an encoder with a feature pyramid, and one head per task."""

    name: Literal["mh_mtl"] = key(affects_results=True, doc="name of the network")
    encoder: str = key(affects_results=True, doc="encoder of segmentation-models-pytorch, or `tu-` and a timm name")
    weights: str | None = key(affects_results=True, doc="null: random; a local file; or an id of the library")
    decoder_channels: int = key(affects_results=True, doc="width of the shared FPN decoder", ge=32, multiple_of=32)
    norm: Literal["group", "frozen", "batch"] = key(affects_results=True, doc="kind of normalization")
    landmarks: Literal["heatmap", "direct"] = key(affects_results=True, doc="heat maps (soft-argmax) or coordinates")
    dropout: float = key(affects_results=True, doc="dropout before a classification head", ge=0, lt=1)
    freeze: Literal["none", "encoder"] = key(affects_results=True, neutral="none", doc="layers that are not trained")

    @property
    def stride(self) -> int:
        """Image height and width must be multiples of this number of pixels."""
        return 32


class ExpertsConfig(Section):
    """Experts (parallel MLPs) that replace the MLP of a transformer block."""

    count: int = key(affects_results=True, doc="experts per block", ge=2)
    top_k: int = key(affects_results=True, doc="experts per token", ge=1)
    router: Literal["task", "token", "uniform"] = key(affects_results=True, doc="what the router chooses experts by")
    task_channels: int = key(affects_results=True, doc="width of the task embedding", ge=1)
    noise: float = key(affects_results=True, doc="noise on the experts' initial weights, relative to their SD", ge=0)
    balance: float = key(affects_results=True, doc="weight of the load-balancing loss", ge=0)

    @model_validator(mode="after")
    def _check_experts(self) -> "ExpertsConfig":
        if self.top_k > self.count:
            raise ValueError(
                f"model.experts.top_k must be at most experts.count, which is {self.count}; got {self.top_k}"
            )
        if self.router == "uniform" and self.top_k < self.count:
            raise ValueError(
                "model.experts.router=uniform gives all experts the same weight and needs experts.top_k = experts.count"
            )
        if self.router == "uniform" and self.noise == 0:
            raise ValueError(
                "model.experts.router=uniform needs experts.noise above 0: experts with equal initial weights get "
                "equal gradients and stay equal"
            )
        return self


class M2DinoConfig(Section):
    """A plain vision transformer, such as DINOv3, whose later blocks are conditioned on the task."""

    name: Literal["m2dino"] = key(affects_results=True, doc="name of the network")
    encoder: str = key(affects_results=True, doc="name of a plain vision transformer in timm")
    weights: str | None = key(
        affects_results=True, doc="null: random; a local file; or timm: the pretrained weights of this name in timm"
    )
    patch_size: int | None = key(affects_results=True, doc="patch size in pixels; null: that of the encoder", ge=4)
    decoder_channels: int = key(affects_results=True, doc="width of the shared DPT decoder", ge=32, multiple_of=32)
    conditioning: Literal["experts", "none", "lora", "film"] = key(
        affects_results=True, doc="how the MLPs of the conditioned blocks depend on the task"
    )
    conditioned_blocks: list[Annotated[int, Field(ge=1)]] | None = key(
        affects_results=True,
        doc="first and last conditioned block, counted from 1; null: the second half",
        min_length=2,
        max_length=2,
    )
    experts: ExpertsConfig
    lora_rank: int = key(affects_results=True, doc="rank of the low-rank adapters of each task", ge=1)
    freeze: Literal["none", "early", "backbone"] = key(affects_results=True, doc="layers that are not trained")
    layer_decay: float = key(
        affects_results=True, doc="learning-rate factor from a block to the one before", gt=0, le=1
    )
    landmarks: Literal["heatmap", "direct"] = key(affects_results=True, doc="heat maps (soft-argmax) or coordinates")
    dropout: float = key(affects_results=True, doc="dropout before a classification head", ge=0, lt=1)

    @field_validator("conditioned_blocks")
    @classmethod
    def _check_order(cls, blocks: list[int] | None) -> list[int] | None:
        if blocks is not None and blocks[0] > blocks[1]:
            raise ValueError("the first block, then the last block, such as [7, 12]")
        return blocks

    @property
    def stride(self) -> int:
        """Number of pixels of which both sides of an image must be a multiple: the side of a patch."""
        match = re.search(r"_patch(\d+)", self.encoder)
        return self.patch_size or (int(match[1]) if match else DEFAULT_PATCH)


ModelConfig = MhMtlConfig | M2DinoConfig
"""The network; `name` decides which."""

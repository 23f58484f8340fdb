"""M2DINO: a vision transformer whose later blocks are conditioned on the task, one spatial map for all task types.

arXiv:2603.18123; what is not known of the original is a key of the configuration.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from usaggr.config.model import M2DinoConfig
from usaggr.models.dpt import LightDpt
from usaggr.models.experts import ExpertMlp, Router
from usaggr.models.heads import Head
from usaggr.models.network import MultiTaskNetwork
from usaggr.models.per_task import PerTask, Routed, TaskContext
from usaggr.models.vit import VisionTransformer, conditioned_range


class M2Dino(MultiTaskNetwork):
    """The multi-task network whose encoder knows each sample's task."""

    encoder: VisionTransformer

    def __init__(
        self,
        model: M2DinoConfig,
        encoder: VisionTransformer,
        decoder: LightDpt,
        heads: Mapping[str, Head],
        context: TaskContext,
        embeddings: PerTask | None,
    ) -> None:
        super().__init__(encoder, decoder, heads)
        self.embeddings = embeddings
        """Of the tasks, for the routers; None where no router reads them."""
        self.balance = model.experts.balance
        self.layer_decay = model.layer_decay
        self._context = context
        self._routing: dict[int, Routed] = {}
        self._frozen = self._freeze(model)

    def encode(self, images: Tensor, rows: Mapping[str, Tensor]) -> list[Tensor]:
        """The encoder's maps, each sample's by way of its task."""
        context = self._context
        context.begin(rows, len(images))
        try:
            if self.embeddings is not None:
                context.embedding = self.embeddings()
            maps = self.encoder(images)
        finally:
            self._routing = context.end()
        return list(maps)

    def routing(self) -> dict[int, Routed]:
        """How the last batch's tokens were sent to experts, by block from 0; told once, so that no graph is kept."""
        routing, self._routing = self._routing, {}
        return routing

    def _freeze(self, model: M2DinoConfig) -> list[nn.Module]:
        """Switch off the gradients of what is not trained; gives the modules that are frozen whole."""
        encoder, vit = self.encoder, self.encoder.vit
        match model.freeze:
            case "none":
                return []
            case "early":
                early = list(encoder.blocks[: conditioned_range(model, encoder.depth).start])
                kept: list[nn.Module] = list(encoder.blocks[len(early) :])
                last: Any = vit.norm
                kept.append(last)
            case "backbone":
                early = list(encoder.blocks)
                kept = [module for module in vit.modules() if isinstance(module, Router | PerTask)]
                kept += [module.experts for module in vit.modules() if isinstance(module, ExpertMlp)]
        trained = {id(parameter) for module in kept for parameter in module.parameters()}
        for parameter in vit.parameters():
            parameter.requires_grad_(id(parameter) in trained)
        alive = {id(module) for root in kept for module in root.modules()}
        return [module for module in vit.modules() if not alive & {id(inner) for inner in module.modules()}]

"""M2DINO (arXiv:2603.18123): a vision transformer whose later blocks are conditioned on the task.

One spatial map serves all task types. Where the paper leaves a choice open, it is a configuration key.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from usaggr.config.model import M2DinoConfig
from usaggr.models.dpt import LightDpt
from usaggr.models.experts import ExpertMlp, Router
from usaggr.models.heads import Head
from usaggr.models.network import EncoderOutput, MultiTaskNetwork
from usaggr.models.per_task import PerTask, TaskContext, assign_tasks
from usaggr.models.vit import VisionTransformer, get_conditioned_range


class M2Dino(MultiTaskNetwork):
    """Multi-task network whose encoder depends on each sample's task.

    Args:
        model: Configuration of the network.
        encoder: Transformer, whose blocks are already conditioned on the task.
        decoder: Decoder that all tasks share.
        heads: One head per task id.
        context: Context that the conditioned layers of the encoder read.
        embeddings: Embedding of each task, read by the routers; None if no router reads them.
    """

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
        self.load_balancing_weight = model.experts.balance
        self.layer_decay = model.layer_decay
        self._context = context
        self._frozen = self._freeze_modules(model)

    def encode(self, images: Tensor, batch_indices: Mapping[str, Tensor]) -> EncoderOutput:
        """Return the encoder's maps and routing; each sample takes the path of its task."""
        tasks, sample_tasks = assign_tasks(batch_indices, len(images))
        return self.encode_tasks(images, tasks, sample_tasks)

    def encode_tasks(self, images: Tensor, tasks: tuple[str, ...], sample_tasks: Tensor) -> EncoderOutput:
        """Return the encoder's maps and routing for images whose tasks are given as indices.

        Args:
            images: (N, 3, H, W) float32, normalized.
            tasks: Ids of the tasks.
            sample_tasks: (N,) int64: index into `tasks` for each image.
        """
        with self._context.activate(tasks, sample_tasks) as routing:
            if self.embeddings is not None:
                self._context.embedding = self.embeddings()
            maps = self.encoder(images)
        return EncoderOutput(list(maps), routing)

    def _freeze_modules(self, model: M2DinoConfig) -> list[nn.Module]:
        """Switch off the gradients that `model.freeze` names; return the modules in which nothing is trained."""
        encoder, vit = self.encoder, self.encoder.vit
        match model.freeze:
            case "none":
                return []
            case "early":
                first_trained = get_conditioned_range(model, encoder.depth).start
                trained_modules: list[nn.Module] = list(encoder.blocks[first_trained:])
                last_norm: Any = vit.norm
                trained_modules.append(last_norm)
            case "backbone":
                trained_modules = [module for module in vit.modules() if isinstance(module, Router | PerTask)]
                trained_modules += [module.experts for module in vit.modules() if isinstance(module, ExpertMlp)]
        trained = {id(parameter) for module in trained_modules for parameter in module.parameters()}
        for parameter in vit.parameters():
            parameter.requires_grad_(id(parameter) in trained)
        # A module is frozen only if none of its submodules is trained: eval() would reach all of them.
        in_training = {id(module) for trained_module in trained_modules for module in trained_module.modules()}
        return [m for m in vit.modules() if not in_training & {id(submodule) for submodule in m.modules()}]

"""Pretrained weights of a plain vision transformer: from a file, whoever wrote it, or timm's own download.

timm renames what others wrote (Meta's DINOv3 and DINOv2 among them) and resamples patches and positions. Every weight
of the transformer must be there: nothing is left at random in silence.
"""

import contextlib
import io
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from usaggr.config.model import M2DinoConfig
from usaggr.data.batches.batches import MEAN, STD
from usaggr.errors import ConfigError
from usaggr.models.vit_download import downloaded, source
from usaggr.models.weight_files import described, first_line, read_tensors, some, without_prefix
from usaggr.models.weights import weights_file

_NOT_READ = re.compile(r"^(?:head|head_dist|fc_norm|attn_pool)\.")
"""Parts that make one vector of an image, which is no part of a spatial map."""
_CONDITIONED = re.compile(r"^blocks\.(\d+)\.mlp\.(?:experts|router|mlp|scale|shift|\w+\.(?:linear|down|up))\.")
"""Names in usaggr's own networks whose blocks are conditioned on the task."""
_TRANSFORMERS_NAMES = re.compile(r"^(?:layer|layers|layer\.model)\.\d+\.|^embeddings\.")
"""How the transformers library names a vision transformer, which timm does not read."""
_STATED = ("input_factor", "input_shift")
"""Names of the step from images as every network gets them to those that the weights expect."""
_BIAS = 1e-6
"""Biases up to here are as good as none."""


@dataclass(frozen=True)
class InputTransform:
    """How images are brought to what pretrained weights were trained on, by channel: image x factor + shift."""

    factor: Tensor
    """(3,)."""
    shift: Tensor
    """(3,)."""


def load_vit_weights(vit: nn.Module, model: M2DinoConfig) -> InputTransform | None:
    """Load what `model.weights` names into timm's bare transformer, in place; nothing where it is null.

    On the meta device all is checked, and nothing is copied. Gives the scale of images that the weights expect: the
    one that a network of usaggr keeps with them, else timm's for the transformer; None without weights.

    Raises:
        ConfigError: weights that are not there, cannot be read, or do not fit.
    """
    if model.weights is None:
        return None
    file = weights_file(model) or downloaded(model)
    stored = _stripped(read_tensors(file), model)
    stated = stated_transform(stored)
    for name in _STATED:
        stored.pop(name, None)
    try:
        _refuse_biases(vit, stored, model)
        found = _renamed(vit, stored)
    except ConfigError:
        raise
    except Exception as error:  # timm converts what it takes for its own, and fails in many ways where it is not
        raise ConfigError(
            f"model.weights={model.weights}: does not fit {model.encoder} ({first_line(error)})"
        ) from error
    own = {name: tensor for name, tensor in vit.state_dict().items() if not _NOT_READ.match(name)}
    matched = {name: found[name] for name, t in own.items() if name in found and found[name].shape == t.shape}
    if len(matched) < len(own):
        raise ConfigError(_misfit(own, matched, found, model))
    if not any(tensor.is_meta for tensor in own.values()):
        vit.load_state_dict(matched, strict=False)
    return stated or timms_transform(vit)


def stated_transform(tensors: Mapping[str, Tensor]) -> InputTransform | None:
    """Return the step that a network of usaggr keeps with its weights; None: the file states none."""
    found = {short: tensor for name, tensor in tensors.items() if (short := without_prefix(name)) in _STATED}
    return InputTransform(*(found[name] for name in _STATED)) if len(found) == len(_STATED) else None


def timms_transform(vit: nn.Module) -> InputTransform:
    """From images as every network gets them to those that timm's weights of the transformer were trained on."""
    settings: Any = vit.pretrained_cfg
    mean, std = torch.tensor(settings["mean"]), torch.tensor(settings["std"])
    return InputTransform(torch.tensor(STD) / std, (torch.tensor(MEAN) - mean) / std)


def _stripped(stored: Mapping[str, Tensor], model: M2DinoConfig) -> dict[str, Tensor]:
    """The tensors by their names in the transformer, however deep a network holds that."""
    names: dict[str, str] = {}
    for name in stored:
        twin = names.setdefault(without_prefix(name), name)
        if twin != name:
            raise ConfigError(
                f"model.weights={model.weights}: holds the encoder more than once ({twin} and {name}); save one of them"
            )
    return {short: stored[name] for short, name in names.items()}


def _renamed(vit: nn.Module, stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under timm's names, resampled to the transformer's patches and positions."""
    convert: Any = getattr(sys.modules[type(vit).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return stored
    # timm prints what it cannot find of an attention's biases; a check may be on the meta device, files never are.
    with contextlib.redirect_stdout(io.StringIO()), torch.device("cpu"), torch.no_grad():
        found: dict[str, Tensor] = convert(dict(stored), vit)
    return found


def _refuse_biases(vit: nn.Module, stored: Mapping[str, Tensor], model: M2DinoConfig) -> None:
    """Refuse DINOv3 weights whose attention has biases for a transformer without: timm would drop them in silence."""
    if "storage_tokens" not in stored or "blocks.0.attn.q_bias" in vit.state_dict():
        return
    for name, bias in stored.items():
        if name.endswith("attn.qkv.bias"):
            query, _, value = bias.chunk(3)  # the key's is masked in DINOv3
            if max(query.abs().max(), value.abs().max()) > _BIAS:
                architecture, dot, tag = model.encoder.partition(".")
                raise ConfigError(
                    f"model.weights={model.weights}: its attention has biases ({name}), which {model.encoder} lacks; "
                    f"model.encoder={architecture}_qkvb{dot}{tag} has them"
                )


def _misfit(
    own: Mapping[str, Tensor], matched: Mapping[str, Tensor], found: Mapping[str, Tensor], model: M2DinoConfig
) -> str:
    """Why a file does not fit, in one line."""
    start = f"model.weights={model.weights}: does not fit {model.encoder}: "
    conditioned = sorted({int(match[1]) + 1 for name in found if (match := _CONDITIONED.match(name))})
    if conditioned:
        return start + (
            f"in it the MLPs of blocks {conditioned[0]} to {conditioned[-1]} are conditioned on the task (experts or "
            "adapters), which have no place in a plain transformer; take the weights of a network that was trained "
            "with model.conditioning=none"
        )
    if any(_TRANSFORMERS_NAMES.match(name) for name in found):
        offer = source(model)
        return start + (
            "its names are those of the transformers library, which timm does not read; take the file that timm offers "
            f"({offer.page if offer else 'none of this encoder'}) or that of the authors"
        )
    missing = [described(name, tensor, found.get(name)) for name, tensor in own.items() if name not in matched]
    unknown = [name for name in found if name not in own and not _NOT_READ.match(name)]
    return start + (
        f"{len(matched)} of its {len(own)} weights are in the file; missing: {some(missing)}; in the file but not in "
        f"the encoder: {some(unknown)}"
    )

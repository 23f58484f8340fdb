"""Pretrained weights of a plain vision transformer, from a file or from timm's download.

timm renames the tensors of other authors' files (such as Meta's DINOv3 and DINOv2) and resamples patch and position
embeddings. Every weight of the transformer must be in the file, so that no weight silently stays random.
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
from usaggr.errors import ConfigError, get_first_line
from usaggr.models.vit_download import download_weights, find_source
from usaggr.models.weight_files import describe_mismatch, list_some, read_tensors, strip_prefix
from usaggr.models.weights import find_weights_file

_NOT_READ = re.compile(r"^(?:head|head_dist|fc_norm|attn_pool)\.")
"""Names of layers that reduce an image to one vector; they are not read, because spatial maps do not use them."""
_CONDITIONED = re.compile(r"^blocks\.(\d+)\.mlp\.(?:experts|router|mlp|scale|shift|\w+\.(?:linear|down|up))\.")
"""Names of tensors in blocks that are conditioned on the task, in weights that usaggr wrote."""
_TRANSFORMERS_NAMES = re.compile(r"^(?:layer|layers|layer\.model)\.\d+\.|^embeddings\.")
"""Names of tensors in files of the transformers library, which timm cannot read."""
_TRANSFORM_NAMES = ("input_factor", "input_shift")
"""Names of the tensors of an `InputTransform` in weights that usaggr wrote."""
_NEGLIGIBLE_BIAS = 1e-6
"""Biases up to this absolute value are treated as 0."""


@dataclass(frozen=True)
class InputTransform:
    """Transform from normalized images to the images that weights were trained on: image x factor + shift.

    Every network receives images normalized with MEAN and STD; pretrained weights may expect another scale.
    """

    factor: Tensor
    """(3,), per channel."""
    shift: Tensor
    """(3,), per channel."""


def load_vit_weights(vit: nn.Module, model: M2DinoConfig) -> InputTransform | None:
    """Load the weights that `model.weights` names into timm's transformer, in place.

    On the meta device, everything is checked and nothing is copied.

    Returns:
        Transform to the images that the weights expect: stored with the weights by usaggr, else timm's for the
        transformer. None without weights.

    Raises:
        ConfigError: The weights are missing, cannot be read, or do not fit.
    """
    if model.weights is None:
        return None
    file = find_weights_file(model) or download_weights(model)
    stored = _strip_prefixes(read_tensors(file), model)
    transform = read_transform(stored)
    for name in _TRANSFORM_NAMES:
        stored.pop(name, None)
    try:
        _refuse_biases(vit, stored, model)
        converted = _convert_names(vit, stored)
    except ConfigError:
        raise
    except Exception as error:  # timm's conversion fails in many ways for files of other networks
        raise ConfigError(
            f"model.weights={model.weights}: does not fit {model.encoder} ({get_first_line(error)})"
        ) from error
    expected = {name: tensor for name, tensor in vit.state_dict().items() if not _NOT_READ.match(name)}
    matched = {}
    for name, tensor in expected.items():
        candidate = converted.get(name)
        if candidate is not None and candidate.shape == tensor.shape:
            matched[name] = candidate
    if len(matched) < len(expected):
        raise ConfigError(_describe_misfit(expected, matched, converted, model))
    if not any(tensor.is_meta for tensor in expected.values()):
        # Not strict: the layers that are not read may be missing.
        vit.load_state_dict(matched, strict=False)
    return transform or get_timm_transform(vit)


def read_transform(tensors: Mapping[str, Tensor]) -> InputTransform | None:
    """Return the transform that usaggr stores with weights; None if the tensors have none."""
    stored = {short: tensor for name, tensor in tensors.items() if (short := strip_prefix(name)) in _TRANSFORM_NAMES}
    if len(stored) < len(_TRANSFORM_NAMES):
        return None
    return InputTransform(*(stored[name] for name in _TRANSFORM_NAMES))


def get_timm_transform(vit: nn.Module) -> InputTransform:
    """Return the transform to the images that timm's weights of the transformer were trained on."""
    settings: Any = vit.pretrained_cfg
    mean, std = torch.tensor(settings["mean"]), torch.tensor(settings["std"])
    return InputTransform(torch.tensor(STD) / std, (torch.tensor(MEAN) - mean) / std)


def _strip_prefixes(stored: Mapping[str, Tensor], model: M2DinoConfig) -> dict[str, Tensor]:
    """Return the tensors by their names within the transformer.

    Raises:
        ConfigError: Two tensors would have the same name, as student and teacher in a checkpoint.
    """
    names: dict[str, str] = {}
    for name in stored:
        first = names.setdefault(strip_prefix(name), name)
        if first != name:
            raise ConfigError(
                f"model.weights={model.weights}: contains the encoder more than once ({first} and {name}); save one of "
                "them"
            )
    return {short: stored[name] for short, name in names.items()}


def _convert_names(vit: nn.Module, stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under timm's names, resampled to the transformer's patches and positions."""
    convert: Any = getattr(sys.modules[type(vit).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return stored
    # timm prints which biases of the attention are missing. The device is the CPU, because a check may run on the meta
    # device, where timm could not resample.
    with contextlib.redirect_stdout(io.StringIO()), torch.device("cpu"), torch.no_grad():
        converted: dict[str, Tensor] = convert(dict(stored), vit)
    return converted


def _refuse_biases(vit: nn.Module, stored: Mapping[str, Tensor], model: M2DinoConfig) -> None:
    """Refuse DINOv3 weights with attention biases for a transformer without them: timm would silently drop them.

    Args:
        vit: timm's transformer.
        stored: Tensors of the file by their names within the transformer.
        model: Configuration, for the message.

    Raises:
        ConfigError: The weights have biases, and the transformer has none.
    """
    if "storage_tokens" not in stored or "blocks.0.attn.q_bias" in vit.state_dict():
        return
    for name, bias in stored.items():
        if name.endswith("attn.qkv.bias"):
            query, _, value = bias.chunk(3)  # DINOv3 masks the bias of the key
            if max(query.abs().max(), value.abs().max()) > _NEGLIGIBLE_BIAS:
                architecture, dot, tag = model.encoder.partition(".")
                raise ConfigError(
                    f"model.weights={model.weights}: its attention has biases ({name}), which {model.encoder} lacks; "
                    f"model.encoder={architecture}_qkvb{dot}{tag} has them"
                )


def _describe_misfit(
    expected: Mapping[str, Tensor], matched: Mapping[str, Tensor], stored: Mapping[str, Tensor], model: M2DinoConfig
) -> str:
    """Describe in one line why a file does not fit.

    Args:
        expected: Tensors of the transformer.
        matched: Tensors of the file that fit one of them.
        stored: All tensors of the file, under timm's names.
        model: Configuration, for the message.
    """
    start = f"model.weights={model.weights}: does not fit {model.encoder}: "
    conditioned = sorted({int(match[1]) + 1 for name in stored if (match := _CONDITIONED.match(name))})
    if conditioned:
        return start + (
            f"in the file, the MLPs of blocks {conditioned[0]} to {conditioned[-1]} are conditioned on the task "
            "(experts or adapters), and a plain transformer has no such layers; use the weights of a network that was "
            "trained with model.conditioning=none"
        )
    if any(_TRANSFORMERS_NAMES.match(name) for name in stored):
        source = find_source(model)
        return start + (
            "its names are those of the transformers library, which timm cannot read; use timm's file "
            f"({source.page if source else 'there is none for this encoder'}) or the file of the authors"
        )
    missing = [
        describe_mismatch(name, tensor, stored.get(name)) for name, tensor in expected.items() if name not in matched
    ]
    unknown = [name for name in stored if name not in expected and not _NOT_READ.match(name)]
    return start + (
        f"{len(matched)} of its {len(expected)} weights are in the file; missing: {list_some(missing)}; in the file "
        f"but not in the encoder: {list_some(unknown)}"
    )

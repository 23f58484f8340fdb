"""Pretrained weights that are in the local cache of the Hugging Face hub. Nothing is downloaded; torch is not imported.

The repositories are those from which timm and segmentation-models-pytorch load these weights; a test compares them.
"""

from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class CachedWeights:
    """Weights of the hub that a shipped network can start from."""

    label: str
    """Name of the weights for a message."""
    repository: str
    revision: str | None
    """Git revision; None: the newest in the cache."""
    files: tuple[str, ...]
    """Files that must all be in the cache."""

    def is_cached(self) -> bool:
        """Return True if all files are in the cache."""
        from huggingface_hub import try_to_load_from_cache

        with suppress(OSError, ValueError):  # a cache that cannot be read has no weights
            paths = [try_to_load_from_cache(self.repository, name, revision=self.revision) for name in self.files]
            # The function returns a path, or another object for a file that is missing.
            return all(isinstance(path, str) for path in paths)
        return False


DINOV3_SMALL = CachedWeights(
    "DINOv3's weights of ViT-S/16", "timm/vit_small_patch16_dinov3.lvd1689m", None, ("model.safetensors",)
)
"""Weights that `model=m2dino_small model.weights=timm` loads."""
EFFICIENTNET_B4 = CachedWeights(
    "EfficientNet-B4's weights of ImageNet",
    "smp-hub/efficientnet-b4.imagenet",
    "05cd5dde5dab658f00c463f9b9aa0ced76784f40",
    ("config.json", "model.safetensors"),
)
"""Weights that `model=mh_mtl model.weights=imagenet` loads."""

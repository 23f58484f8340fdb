"""Readers of image and mask files under the name of earlier versions; they are in `usaggr.data.read.images`."""

from usaggr.data.read.images import read_image, read_mask

__all__ = ["read_image", "read_mask"]

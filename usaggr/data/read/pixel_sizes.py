"""Sizes of images in messages: always height x width, as in `data.image_size` and in the tables."""


def format_pixels(height: float, width: float) -> str:
    """Return the size of an image in pixels for a message.

    >>> format_pixels(24, 32)
    '24 x 32 pixels (height x width)'
    """
    return f"{height:.0f} x {width:.0f} pixels (height x width)"

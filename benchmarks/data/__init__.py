"""Speed and memory of the image cache."""

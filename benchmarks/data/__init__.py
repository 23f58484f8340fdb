"""Speed of the image cache."""

"""Speed of scores and predictions."""

"""Topic: effect of the amount of training data on the answer."""

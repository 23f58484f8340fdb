"""Topic: how the amount of training data changes the answer."""

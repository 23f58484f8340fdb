"""Scores of predictions, as functions of numpy arrays, and the trivial predictors that ignore the image."""

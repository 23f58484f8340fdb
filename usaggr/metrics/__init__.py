"""Scores from predictions: numpy in, numpy out; and the predictors that ignore the image."""

"""Checks of a data set: near-identical images in different subsets, balance, image statistics, label maps and fixes."""

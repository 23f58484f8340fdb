"""A data set looked at in depth: near-duplicates over folds, balance, image statistics, label maps; and mended."""

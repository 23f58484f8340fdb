"""Topic: the variants of a study, compared with its first variant."""

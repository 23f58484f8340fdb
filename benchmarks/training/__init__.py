"""Speed of training in complete runs, compared with plain loops."""

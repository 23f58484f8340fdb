"""Topic: how mixtures of experts route the tasks."""

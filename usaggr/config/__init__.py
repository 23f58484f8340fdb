"""The configuration of a study: its schema, how Hydra composes it, and messages about what is wrong with it."""

"""Topic: staged groupings, whose models start from the weights of another grouping's models."""

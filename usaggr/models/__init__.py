"""Networks: an encoder and a decoder that all tasks share, and a head a task. Only weights.py is free of torch."""

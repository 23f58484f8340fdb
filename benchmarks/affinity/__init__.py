"""What probes cost beside the training that they ride on."""

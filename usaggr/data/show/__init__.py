"""Overview of a data set, and sheets of samples with their labels."""

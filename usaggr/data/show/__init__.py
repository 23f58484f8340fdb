"""What a data set looks like: its overview and sheets of samples with their labels."""

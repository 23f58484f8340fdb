"""Reading of a data set: its index, labels, images and subjects, with a list of all errors."""

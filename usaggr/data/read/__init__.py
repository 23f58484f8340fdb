"""Reading a data set: its index, labels, images and subjects, with every fault named."""

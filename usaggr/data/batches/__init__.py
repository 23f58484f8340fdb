"""From a data set to batches: resized images, their cache, streams of training samples, augmentation."""

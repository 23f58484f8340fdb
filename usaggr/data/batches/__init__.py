"""Batches for the network: streams of training samples, resized images in a cache, augmentation."""

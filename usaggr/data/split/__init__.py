"""The split: components, train/val/test subsets, ranks of training samples, and the proof that nothing leaks."""

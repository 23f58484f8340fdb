"""Topic: each task with its scores, its training curves, and pictures of test samples."""

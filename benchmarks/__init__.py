"""Benchmarks of speed and of statistics; each says what it measures, and writes its page or its part of one."""

import usaggr  # noqa: F401  (before anything imports torchvision)

"""Benchmarks of speed and of statistics; each one writes a page of docs/ or a section of one."""

import usaggr  # noqa: F401  (usaggr has to prepare torch before anything imports torchvision)

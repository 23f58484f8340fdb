"""Which tasks help each other: estimated from data, clustered into blocks, written as a grouping.

From Python: `usaggr.affinity.blocks.affinity_blocks(study)`. Importing the package is cheap; estimating needs torch.
"""

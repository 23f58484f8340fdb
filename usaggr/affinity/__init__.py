"""Affinity: estimates from data of which tasks help each other, clustered into blocks and written as a grouping.

From Python: `usaggr.affinity.blocks.affinity_blocks(study)`. Importing the package is quick; estimating imports torch.
"""

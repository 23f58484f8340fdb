"""The plan of a study: groupings, controls, stages, the runs that they need, and what these will cost."""

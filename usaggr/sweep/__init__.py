"""From studies to finished runs: groupings, the plan, executors, and how it stands."""

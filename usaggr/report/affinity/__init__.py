"""Topic: agreement of estimated affinity between tasks with the measured effect of sharing."""

"""Cost of affinity probes, and coverage of the report's interval of the rank correlation."""

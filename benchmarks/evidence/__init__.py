"""Coverage of confidence intervals, and error rates of verdicts, in simulated studies."""

"""How often intervals hold the truth, and verdicts come out as planted."""

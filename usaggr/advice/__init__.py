"""What the evidence of finished sweeps says about sharing models for another data set. No torch."""

"""Time and memory of complete sweeps, their growth with size, and their behavior under kills."""

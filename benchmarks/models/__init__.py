"""Parameters, arithmetic and training speed of networks."""

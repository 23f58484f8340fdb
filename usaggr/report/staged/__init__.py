"""Topic: strategies in stages."""

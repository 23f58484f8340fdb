"""Runs in processes on this machine."""

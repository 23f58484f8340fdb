"""Sweeps: the plan of a study's runs, their execution by executors, and the display of their states."""

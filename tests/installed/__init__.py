"""Every command of an installation with pip, executed in an empty folder: `make wheel-smoke`."""

"""Every command of an installation with pip, tried in an empty folder: `make wheel-smoke`."""

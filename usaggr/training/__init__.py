"""One run from start to finish: losses, schedule, the Lightning module, scoring. Importing the package is cheap."""

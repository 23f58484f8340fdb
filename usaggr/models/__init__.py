"""Networks: an encoder, the FPN decoder that all tasks share, and a head a task. Importing the package is cheap."""

"""The public contract: one module for each kind of file in outputs/<name>/, with its reader and its writer."""

"""Topic: methods, limits, glossary, and how to reproduce the report."""

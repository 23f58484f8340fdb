"""Last chapter of the report: methods, limits, reproduction and glossary."""

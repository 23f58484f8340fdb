"""The one comparison: from finished runs to cells, differences, verdicts and summaries."""

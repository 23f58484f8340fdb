"""Report of a study: tables, figures and pages from run directories, without reading images or importing torch."""

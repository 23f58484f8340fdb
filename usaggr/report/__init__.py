"""From run directories to tables, figures and the report; reads no images and imports no torch."""

"""The report's chapters: what each says, as sections of a document; whole.py puts them in order."""

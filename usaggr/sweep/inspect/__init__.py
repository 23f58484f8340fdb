"""Commands that inspect a study: its plan, its status, its detectable differences, and files to remove."""

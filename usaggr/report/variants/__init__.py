"""Topic: the variants of a study against its first one."""

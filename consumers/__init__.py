"""Event in, rows out: workers that claim entries, lock per resource, commit, and only then acknowledge."""

"""The operator's pages about configurations: changes, diffs, search, secrets."""

"""The operator's pages about devices, jobs and their runs."""

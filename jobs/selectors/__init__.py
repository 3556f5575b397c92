"""Reading jobs, runs and what became of their devices."""

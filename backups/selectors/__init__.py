"""Reading what the backups keep."""

"""Writing what the backups keep."""

"""The Git store: one bare repository with the redacted configuration of every device."""

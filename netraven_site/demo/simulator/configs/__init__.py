"""Configurations as text, one module per platform."""

"""Stored configurations in the API."""

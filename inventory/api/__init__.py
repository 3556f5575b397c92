"""The inventory in the API."""

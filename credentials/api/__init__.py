"""Tags and credentials in the API. Secrets never go out."""

"""Tags and credentials in the API, and what all of the API shares. Secrets never go out."""

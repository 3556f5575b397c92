"""The operator's pages, as the server sends them."""

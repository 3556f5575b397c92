"""Device text in the templates of pages."""

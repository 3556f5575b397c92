"""The pages in a real browser, against a whole stack with simulated devices."""

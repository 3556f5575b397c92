"""Telling people what happened: events from rows, messages from events, and their delivery."""

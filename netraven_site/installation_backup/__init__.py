"""Backup and restore of NetRaven itself: database and Git store in one encrypted file."""

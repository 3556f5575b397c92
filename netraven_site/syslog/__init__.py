"""The syslog listener: devices tell that they were changed, and are backed up."""

"""A workspace's state, kept safe: copied to a backup and back again, and cleared of what nothing names any more."""

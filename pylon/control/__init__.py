"""Processes of one user that talk on one machine: a socket with calls, its client, a lock with a pid file, a start in the background."""

"""Clients of a fairway server."""

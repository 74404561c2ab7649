"""Stores for what the registry knows: one small interface, one file per engine."""

"""Stores for the files of bundles: one small interface, one file per kind of storage."""

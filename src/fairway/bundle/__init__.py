"""A packed model on disk: its parts, their hashes, and what its inputs and outputs are."""

"""Score a whole file: streamed, on all cores, and continued after an interruption."""

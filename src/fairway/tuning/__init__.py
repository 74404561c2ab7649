"""Which settings serve a model best on this machine: measured, not guessed."""

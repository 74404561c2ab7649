"""One file per framework: how a model is recognised, saved, loaded and called."""

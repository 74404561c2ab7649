"""Names, versions, aliases and history of models, and the files that they are made of."""

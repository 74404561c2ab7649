"""The pages: the served models, a form for each, its result, and the reference of the HTTP interface."""

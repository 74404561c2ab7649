"""HTTP: routes, problems, health, metrics and pages around the engine."""

"""The management interface below `/api/v1`: what the verbs do to a registry, done over HTTP."""

"""What a version must pass on its way into the registry and to production."""

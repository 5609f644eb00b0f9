"""Commands: one file per family of verbs."""

"""From an image reference to boot files."""

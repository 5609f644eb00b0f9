"""What people write: settings and the site file, parsed once. Only `cli` and `serve` see it."""

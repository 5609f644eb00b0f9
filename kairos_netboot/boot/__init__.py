"""The policy: which node boots what, and why. Pure."""

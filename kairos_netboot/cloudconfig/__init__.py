"""Cloud-configs: parse, render, merge as Kairos merges, check, complete."""

"""HTTP routes by audience: firmware, nodes."""

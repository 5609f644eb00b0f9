"""TFTP: codec and transfer. Pure."""

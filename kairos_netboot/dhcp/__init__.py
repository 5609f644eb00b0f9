"""DHCP as network-boot firmware speaks it: codec and answers. Pure."""

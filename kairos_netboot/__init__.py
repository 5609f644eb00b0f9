"""A proxy-DHCP, TFTP and HTTP server that turns Kairos container images into machines."""

__version__ = "0.1.0"

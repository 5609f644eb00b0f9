"""The UDP shells: DHCP on 67 and 4011, TFTP on 69."""

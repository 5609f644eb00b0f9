"""Machines are switched on and off from afar: Redfish, IPMI, wake-on-lan, QEMU."""

"""`doctor`: what would keep machines from booting, found before they try."""

"""The stand-in agent. It is NOT Kairos: it obeys Kairos' netboot contract for tests, no more."""

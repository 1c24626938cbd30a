"""Labelmesh on one machine: every part is the real one, started from wheels, listening on loopback only."""

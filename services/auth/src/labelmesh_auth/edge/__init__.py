"""The edge's authorization check: who is calling a method, and whether they may."""

"""Measurements beside peers and limits, as ratios with their spread. Each module is one command; `./mesh bench` runs them."""

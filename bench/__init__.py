"""Measurements of what is promised about speed; each module runs with `python -m`."""

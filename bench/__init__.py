"""Measurements, each a program of its own: `python -m bench.NAME`; `python -m bench` for all."""

import os

# Servers and workers are started while calls are open, and share nothing with them.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

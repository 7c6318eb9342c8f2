"""The same small program with several systems, for docs/comparison.md."""

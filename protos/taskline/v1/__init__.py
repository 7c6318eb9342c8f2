"""Version 1 of the contract, `taskline.v1`."""

"""Servers that people use in place of lambdaserve, each in an environment of its own: `make peers`."""

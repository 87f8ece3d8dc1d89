"""Everything that Lambda runs: loads proven models from a store and answers for them over HTTP."""

__version__ = "0.1.0"

"""Inputs and outputs beyond Lambda's 6 MB: through a bucket of their own, in which nothing lives longer than a day."""

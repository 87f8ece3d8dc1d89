"""The management API: what there is of models, and all that changes it. docs/management.md is its description.

An application of its own, for a function of its own: the inference function can only read models.
"""

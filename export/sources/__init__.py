"""The kinds of sources, one module each, and the one place that tells them apart."""

from export.sources.kinds import load
from export.sources.options import SourceOptions

__all__ = ["SourceOptions", "load"]

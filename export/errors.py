"""The error tree of the export side.

ExportError
├── SourceError       the source cannot be had, or what it returns is no usable `ModelSource`
├── DataError         data or weights that a source brings are missing, broken or do not fit the model
├── ConversionError   the model cannot be turned into ONNX, or the ONNX does not answer as PyTorch does
├── GateError         a measurement that decides on a variant could not be taken
├── OutputError       the artifact folder cannot be written, or is not what it should be
└── VerificationError the artifact does not answer on this machine as it did where it was built

Messages read `<subject>: <found>, <expected>[; <next step>]`.
"""


class ExportError(Exception):
    """Base of everything that the export step raises on purpose; the command line exits 1 with its message."""


class SourceError(ExportError):
    """The source cannot be had, or what it returns is no usable `ModelSource`."""


class DataError(ExportError):
    """Data or weights that a source brings are missing, broken or do not fit the model."""


class ConversionError(ExportError):
    """The model cannot be turned into ONNX, or the ONNX does not answer as PyTorch does."""


class GateError(ExportError):
    """A measurement that decides on a variant could not be taken."""


class OutputError(ExportError):
    """The artifact folder cannot be written, or is not what it should be."""


class VerificationError(ExportError):
    """The artifact does not answer on this machine as it did where it was built."""

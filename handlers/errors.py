"""The error tree of the serving side; it knows nothing of HTTP.

LambdaserveError
├── InvalidInput            the request says something that the model cannot take
├── PayloadTooLarge         the request or the answer is larger than the limit
├── UnsupportedOperation    the service does not offer this
├── ModelNotFound           no such model here
├── VersionNotFound         the model is here, that version of it is not
├── ModelNotReady           the model should be here and cannot be served (yet)
├── InvalidSetting          the environment holds a setting that makes no sense
├── InvalidName             a model, alias, version or file name outside its alphabet
├── StoreError              the store did not do what was asked
│   ├── ObjectNotFound
│   ├── ObjectExists        create-if-absent found something there
│   ├── ObjectChanged       compare-and-swap found another content than expected
│   └── StoreUnavailable    refused, unreachable, out of time: worth another try
├── ArtifactError           what the store returned is not what was published
│   ├── CorruptFile
│   └── UnsupportedManifest
└── RuntimeFailure          onnxruntime could not open or run the model
    └── GoldenMismatch      the model answers, and the answer is not the one that was proven

Messages read `<subject>: <found>, <expected>[; <next step>]`. `handlers.api.statuses` maps the classes to HTTP.
"""

from typing import ClassVar


class LambdaserveError(Exception):
    """Base of everything that lambdaserve raises on purpose; `code` is stable and fit for machines."""

    code: ClassVar[str] = "error"


class InvalidInput(LambdaserveError):
    code = "invalid_input"


class PayloadTooLarge(LambdaserveError):
    code = "payload_too_large"


class UnsupportedOperation(LambdaserveError):
    code = "unsupported_operation"


class ModelNotFound(LambdaserveError):
    code = "model_not_found"


class VersionNotFound(LambdaserveError):
    code = "version_not_found"


class ModelNotReady(LambdaserveError):
    code = "model_not_ready"


class InvalidSetting(LambdaserveError):
    code = "invalid_setting"


class InvalidName(LambdaserveError):
    code = "invalid_name"


class StoreError(LambdaserveError):
    code = "store_error"


class ObjectNotFound(StoreError):
    code = "object_not_found"


class ObjectExists(StoreError):
    code = "object_exists"


class ObjectChanged(StoreError):
    code = "object_changed"


class StoreUnavailable(StoreError):
    code = "store_unavailable"


class ArtifactError(LambdaserveError):
    code = "artifact_error"


class CorruptFile(ArtifactError):
    code = "corrupt_file"


class UnsupportedManifest(ArtifactError):
    code = "unsupported_manifest"


class RuntimeFailure(LambdaserveError):
    code = "runtime_failure"


class GoldenMismatch(RuntimeFailure):
    code = "golden_mismatch"

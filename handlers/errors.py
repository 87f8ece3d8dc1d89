"""The error tree of the serving side; it knows nothing of HTTP.

LambdaserveError
├── InvalidInput            the request says something that the model cannot take
├── UnsupportedMedia        the request's body is of a kind that nothing here reads
├── PayloadTooLarge         the request is larger than the limit
├── AnswerTooLarge          the answer would be larger than the limit
├── NotSupported            this cannot be done here, by design
├── DeadlineExceeded        the work cannot end in the time that is left
├── InsufficientMemory      the model, a sample of this size, or an image to decode, does not fit into memory
├── ModelNotFound           no such model here
├── VersionNotFound         the model is here, that version of it is not
├── ModelNotReady           the model should be here and cannot be served (yet)
│   └── StillLoading        it is on its way: worth another try
├── PayloadNotFound         nothing is stored under that id, or not any more
├── ChangeRefused           what aliases name, or which versions there are, stays as it is
│   ├── AliasChanged        others changed the alias meanwhile
│   ├── AliasPinned         the alias may not be moved
│   ├── VersionInUse        an alias names the version that is to go
│   ├── VersionRetired      the version was, or is being, deleted
│   ├── UploadIncomplete    files of the version are missing, or not what its manifest says
│   ├── PromotionRefused    the version is not good enough, or does not fit in the place of the present one
│   ├── OperationReused     another operation has this id
│   └── NothingToChange     it is as asked already, or there is nothing to go back to
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
    """The request says something that the model cannot take."""

    code = "invalid_input"


class PayloadTooLarge(LambdaserveError):
    """The request is larger than the limit."""

    code = "payload_too_large"


class UnsupportedMedia(LambdaserveError):
    """The request's body is of a kind that nothing here reads."""

    code = "unsupported_media"


class AnswerTooLarge(LambdaserveError):
    """The answer would be larger than the limit."""

    code = "answer_too_large"


class NotSupported(LambdaserveError):
    """This cannot be done here, by design."""

    code = "not_supported"


class DeadlineExceeded(LambdaserveError):
    """The work cannot end in the time that is left; the message says what was spent where."""

    code = "deadline_exceeded"


class InsufficientMemory(LambdaserveError):
    """The model, one sample of this size, or an image to decode, does not fit into the memory that models may take."""

    code = "insufficient_memory"


class ModelNotFound(LambdaserveError):
    """No such model here."""

    code = "model_not_found"


class VersionNotFound(LambdaserveError):
    """The model is here, that version of it is not."""

    code = "version_not_found"


class ModelNotReady(LambdaserveError):
    """The model should be here and cannot be served (yet)."""

    code = "model_not_ready"


class PayloadNotFound(LambdaserveError):
    """Nothing is stored under that id, or not any more."""

    code = "payload_not_found"


class ChangeRefused(LambdaserveError):
    """What aliases name, or which versions there are, stays as it is."""

    code = "change_refused"


class AliasChanged(ChangeRefused):
    """Others changed the alias since the one who wants to change it looked."""

    code = "alias_changed"


class AliasPinned(ChangeRefused):
    """The alias may not be moved."""

    code = "alias_pinned"


class VersionInUse(ChangeRefused):
    """An alias names the version that is to go."""

    code = "version_in_use"


class VersionRetired(ChangeRefused):
    """The version was, or is being, deleted; its number is never used again."""

    code = "version_retired"


class UploadIncomplete(ChangeRefused):
    """Files of a version that is to be finished are missing, or not what its manifest says."""

    code = "upload_incomplete"


class PromotionRefused(ChangeRefused):
    """The version is not good enough, or does not fit in the place of the present one."""

    code = "promotion_refused"


class OperationReused(ChangeRefused):
    """Another operation has this id."""

    code = "operation_reused"


class NothingToChange(ChangeRefused):
    """It is as asked already, or there is nothing to go back to."""

    code = "nothing_to_change"


class StillLoading(ModelNotReady):
    """The model is on its way: worth another try."""

    code = "still_loading"


class InvalidSetting(LambdaserveError):
    """The environment holds a setting that makes no sense."""

    code = "invalid_setting"


class InvalidName(LambdaserveError):
    """A model, alias, version or file name is outside its alphabet."""

    code = "invalid_name"


class StoreError(LambdaserveError):
    """The store did not do what was asked."""

    code = "store_error"


class ObjectNotFound(StoreError):
    """Nothing is stored under that key."""

    code = "object_not_found"


class ObjectExists(StoreError):
    """Create-if-absent found something there."""

    code = "object_exists"


class ObjectChanged(StoreError):
    """Compare-and-swap found another content than expected."""

    code = "object_changed"


class StoreUnavailable(StoreError):
    """The store refused, could not be reached or ran out of time: worth another try."""

    code = "store_unavailable"


class ArtifactError(LambdaserveError):
    """What the store returned is not what was published."""

    code = "artifact_error"


class CorruptFile(ArtifactError):
    """A file is missing, cut short or altered."""

    code = "corrupt_file"


class UnsupportedManifest(ArtifactError):
    """The manifest was written for another lambdaserve."""

    code = "unsupported_manifest"


class RuntimeFailure(LambdaserveError):
    """onnxruntime could not open or run the model."""

    code = "runtime_failure"


class GoldenMismatch(RuntimeFailure):
    """The model answers, and the answer is not the one that was proven."""

    code = "golden_mismatch"

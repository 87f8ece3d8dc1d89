import pytest

from handlers import errors
from handlers.api.statuses import status_of

STATUSES = {
    "InvalidInput": 400,
    "InvalidName": 400,
    "ModelNotFound": 404,
    "VersionNotFound": 404,
    "PayloadNotFound": 404,
    "CallerUnknown": 403,
    "ChangeRefused": 409,
    "UploadIncomplete": 409,
    "PreconditionFailed": 412,
    "AliasChanged": 409,
    "AliasPinned": 409,
    "VersionInUse": 409,
    "VersionRetired": 409,
    "PromotionRefused": 409,
    "OperationReused": 409,
    "NothingToChange": 409,
    "PayloadTooLarge": 413,
    "AnswerTooLarge": 413,
    "UnsupportedMedia": 415,
    "NotSupported": 501,
    "DeadlineExceeded": 504,
    "InsufficientMemory": 507,
    "ModelNotReady": 503,
    "StillLoading": 503,
    "InvalidSetting": 503,
    "StoreError": 503,
    "ObjectNotFound": 503,
    "ObjectExists": 503,
    "ObjectChanged": 503,
    "StoreUnavailable": 503,
    "ArtifactError": 503,
    "CorruptFile": 503,
    "UnsupportedManifest": 503,
    "RuntimeFailure": 500,
    "GoldenMismatch": 500,
    "LambdaserveError": 500,
}


def all_errors() -> list[type[errors.LambdaserveError]]:
    found = vars(errors).values()
    return [kind for kind in found if isinstance(kind, type) and issubclass(kind, errors.LambdaserveError)]


@pytest.mark.parametrize("kind", all_errors())
def test_every_error_has_its_status(kind: type[errors.LambdaserveError]) -> None:
    assert status_of(kind("x")) == STATUSES[kind.__name__]


def test_an_error_that_is_not_in_the_table_has_the_status_of_its_parent() -> None:
    class WrongSeason(errors.ModelNotFound):
        pass

    assert status_of(WrongSeason("x")) == 404


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in all_errors()]

    assert len(set(codes)) == len(codes) == len(STATUSES)
    assert all(code.replace("_", "").islower() for code in codes)

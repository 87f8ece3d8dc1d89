"""What requests say, in the path and in JSON, for pydantic to check and to describe."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from handlers.registry.names import check_alias, check_model_name, check_version

__all__ = [
    "AliasName",
    "CanaryRequest",
    "ClaimRequest",
    "FinaliseRequest",
    "ModelName",
    "PromoteRequest",
    "RollbackRequest",
    "VersionNumber",
]

LARGEST_MANIFEST = 2_000_000  # characters: 100,000 labels

# what these raise is no `ValueError`, so that pydantic lets it through: one message for a name, wherever it stands
ModelName = Annotated[str, AfterValidator(check_model_name), Field(examples=["mnist-cnn"])]
AliasName = Annotated[str, AfterValidator(check_alias), Field(examples=["live"])]
VersionNumber = Annotated[str, AfterValidator(check_version), Field(examples=["4"])]
Reason = Annotated[str, Field(max_length=500, description="Why; the history keeps it.")]
Force = Annotated[bool, Field(description="Do it whatever stands against it; the history says what that was.")]

ManifestText = Annotated[
    str,
    Field(
        max_length=LARGEST_MANIFEST,
        description="The artifact's manifest.json: its text, as it is, since its hash is over that.",
    ),
]


class _Given(BaseModel):
    """What a request says: nothing that is not known here, and no "3" for a 3."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PromoteRequest(_Given):
    """Let an alias name a version."""

    version: VersionNumber
    reason: Reason = ""
    force: Force = False


class CanaryRequest(_Given):
    """Let a version have some per cent of the requests to an alias."""

    version: VersionNumber
    weight: Annotated[int, Field(ge=1, le=99, description="Per cent of the requests.")]
    reason: Reason = ""
    force: Force = False


class RollbackRequest(_Given):
    """Let an alias name what it named before."""

    reason: Reason = ""


class ClaimRequest(_Given):
    """Take a number for a version."""

    manifest: ManifestText


class FinaliseRequest(_Given):
    """Make a version of what was uploaded."""

    manifest: ManifestText

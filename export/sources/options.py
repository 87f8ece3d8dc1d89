"""What the command line may say about a source that cannot say it itself."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from export.errors import SourceError

__all__ = ["SourceOptions"]


@dataclass(frozen=True)
class SourceOptions:
    """What goes with the word that names a source; each kind takes some of it.

    Attributes:
        name: Name of the model; None: made of the file's or folder's.
        texts: File with one text a line, of which half calibrates and half judges.
        inputs: Example inputs as `name=FP32[batch,3,224,224]`, in the order of `forward()`.
        outputs: Names of the outputs, in their order; empty: `output`, or `output_0` and so on.
        allow_pickle: Whether a file may be unpickled, which runs whatever code is in it.
    """

    name: str | None = None
    texts: Path | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    allow_pickle: bool = False

    def check(self, kind: str, taken: Collection[str]) -> None:
        """Check that nothing was given that this kind of source does not take.

        Args:
            kind: What to call the source in the message.
            taken: The options that it takes.

        Raises:
            SourceError: One was given that it does not take.
        """
        given = {
            "--name": self.name is not None,
            "--texts": self.texts is not None,
            "--input": bool(self.inputs),
            "--output": bool(self.outputs),
            "--allow-pickle": self.allow_pickle,
        }
        wrong = [option for option, there in given.items() if there and option not in taken]
        if wrong:
            msg = f"{', '.join(wrong)}: given with {kind}, expected {', '.join(taken) or 'none of these options'}"
            raise SourceError(msg)

"""Tells from a word on the command line what kind of source it names."""

import re
from pathlib import Path

from export.errors import SourceError
from export.source import ModelSource
from export.sources.function import load_function
from export.sources.options import SourceOptions

__all__ = ["load"]

_FUNCTION = re.compile(r".+:[^/\\.]*")
_FILES = (".pt", ".pt2", ".pth", ".ts", ".bin", ".safetensors")


def load(word: str, options: SourceOptions) -> ModelSource:
    """Return the source that `word` names.

    It is a folder in the layout of Hugging Face, a file (an exported program, TorchScript, or a pickled module), or
    `file.py:function` or `package.module:function`. What is there on disk is taken first.

    Raises:
        SourceError: There is no such source, it is of no kind known here, or it cannot be used.
        DataError: Its weights or its data are broken or do not fit it.
    """
    path = Path(word)
    if word and path.is_dir():
        from export.sources.hugging_face import load_folder  # imports transformers, which is optional

        return load_folder(path, options)
    if path.suffix in _FILES and not _FUNCTION.fullmatch(word):
        from export.sources.files import load_file

        return load_file(path, options)
    if "/" in word and ":" not in word and not path.exists():
        msg = f"source: no file or folder {word}, expected a model folder, a .pt2 or .pt file, or file.py:function"
        raise SourceError(msg)
    options.check(f"the source {word}", ())
    return load_function(word)

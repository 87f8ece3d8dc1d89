"""The tokenizer of a model folder: one `tokenizer.json`, and how many tokens the model takes."""

import tempfile
from pathlib import Path
from typing import Any

import msgspec

from export.errors import SourceError, in_one_line

__all__ = ["TOKENIZER_FILE", "find_tokenizer", "max_tokens", "special_token"]

TOKENIZER_FILE = "tokenizer.json"
_OLDER_FILES = ("vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model")
_MOST_TOKENS = 16_384  # that a manifest may name
_NO_LIMIT = 10**9  # transformers writes a huge number where there is none


def find_tokenizer(folder: Path, transformers: Any) -> Path | None:  # noqa: ANN401 - see hugging_face
    """Return the folder's tokenizer.json, made from the vocabulary where there is only that; None without either.

    Raises:
        SourceError: There is a vocabulary, and transformers makes no tokenizer.json of it.
    """
    if (folder / TOKENIZER_FILE).is_file():
        return folder / TOKENIZER_FILE
    found = [name for name in _OLDER_FILES if (folder / name).is_file()]
    if not found:
        return None
    # not in the folder itself, which is the user's; the process that builds an artifact of it is gone soon after
    made = Path(tempfile.mkdtemp(prefix="lambdaserve-tokenizer-")) / TOKENIZER_FILE
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        tokenizer.backend_tokenizer.save(str(made))
    except Exception as error:  # transformers raises as it likes
        msg = (
            f"source {folder}: {found[0]} and no {TOKENIZER_FILE}: {type(error).__name__}: {in_one_line(error)}, "
            "expected a tokenizer that transformers can save as one; save it with save_pretrained()"
        )
        raise SourceError(msg) from error
    return made


def max_tokens(folder: Path, config: Any) -> int:  # noqa: ANN401 - see hugging_face
    """Return how many tokens the model takes at most, the special ones included."""
    limits = [
        _member(folder / "sentence_bert_config.json", "max_seq_length"),
        _member(folder / "tokenizer_config.json", "model_max_length"),
        _positions(config),
    ]
    return min(limit for limit in (*limits, _MOST_TOKENS) if limit is not None)


def special_token(folder: Path, name: str) -> str | None:
    """Return what a folder says that a special token is written like, such as its `mask_token`; None: nothing."""
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        found = _read(folder / file).get(name)
        text = found.get("content") if isinstance(found, dict) else found
        if isinstance(text, str):
            return text
    return None


def _positions(config: Any) -> int:  # noqa: ANN401 - as above
    positions = int(getattr(config, "max_position_embeddings", None) or 512)
    # RoBERTa and its kin count positions from behind that of padding, and 512 + 2 is how they all write it
    offset = 2 if positions % 8 == 2 else 0  # noqa: PLR2004 - the 2 of above
    return max(1, positions - offset)


def _member(path: Path, name: str) -> int | None:
    value = _read(path).get(name)
    return int(value) if isinstance(value, (int, float)) and 0 < value < _NO_LIMIT else None


def _read(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return {}  # these files are all optional

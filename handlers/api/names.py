"""Names of models in paths of version 1, where a colon ends them: the convertor `name` of Starlette's routes."""

from starlette.convertors import Convertor, register_url_convertor

__all__ = ["V1_MODEL"]

V1_MODEL = "/v1/models/{model:name}"
"""The path of a model; what is done with it comes after a colon."""


class _NameConvertor(Convertor[str]):
    regex = "[^/:]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("name", _NameConvertor())

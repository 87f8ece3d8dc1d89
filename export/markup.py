"""HTML and SVG as a tree of elements, in which text from outside can never be anything but text."""

import re
from collections.abc import Sequence
from xml.etree.ElementTree import Element, tostring

__all__ = ["Content", "element", "printable", "table", "to_document"]

Content = Element | str

# what is invisible, steers a terminal or turns the direction of the text around it
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)

_META = """
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
"""


def printable(text: str) -> str:
    """Return the text with a mark in place of what cannot be seen; a line feed and a tab stay."""
    return _UNPRINTABLE.sub("\ufffd", text)


def element(tag: str, *content: Content, **attributes: str | float) -> Element:
    """Return an element. `class_` names the attribute class, and `data_label` data-label."""
    made = Element(tag, {name.rstrip("_").replace("_", "-"): _value(value) for name, value in attributes.items()})
    for part in content:
        if isinstance(part, Element):
            made.append(part)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + printable(part)
        else:
            made.text = (made.text or "") + printable(part)
    return made


def _value(value: str | float) -> str:
    return printable(value) if isinstance(value, str) else f"{round(value, 2):g}"


def table(columns: Sequence[str], rows: Sequence[Element], **attributes: str) -> Element:
    """Return a table that can be read as a list of cards, too: each cell carries the name of its column.

    Args:
        columns: What the cells of a row are.
        rows: Elements `tr` with as many cells; a column is aligned as the first of them.
        attributes: Of the element `table`.
    """
    for row in rows:
        for column, cell in zip(columns, row, strict=True):
            cell.set("data-label", printable(column))
    aligned = [cell.get("class", "") for cell in rows[0]] if rows else [""] * len(columns)
    heads = [element("th", name, scope="col", class_=kind) for name, kind in zip(columns, aligned, strict=True)]
    return element("table", element("thead", element("tr", *heads)), element("tbody", *rows), **attributes)


def to_document(title: str, style: str, *body: Element) -> str:
    """Return a whole HTML file that loads nothing and runs nothing, whatever stands in it.

    Args:
        title: Of the window.
        style: CSS of ours: it is written as it is.
        body: Made of elements that may hold something; HTML's void elements would be closed twice.
    """
    head = f"{_META}{_written(element('title', title))}<style>\n{style}</style>"
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>{head}</head>\n{_written(element("body", *body))}\n</html>\n'


def _written(tree: Element) -> str:
    # as XML, which escapes < in attributes, too, and with end tags for all, which HTML wants
    return tostring(tree, encoding="unicode", short_empty_elements=False)

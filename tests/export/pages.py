"""HTML files, read strictly: each element that is opened is closed, in order."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

_EMPTY = {"meta"}


@dataclass
class Node:
    """An element; `content` are its texts and elements, in order."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    content: "list[Node | str]" = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.content)

    @property
    def children(self) -> "list[Node]":
        return [part for part in self.content if isinstance(part, Node)]

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()

    def all(self, tag: str = "", class_: str = "") -> "Iterator[Node]":
        """Yield what is below, in the order of the file, that has the tag and the class."""
        for child in self.children:
            if tag in ("", child.tag) and (not class_ or class_ in child.classes):
                yield child
            yield from child.all(tag, class_)

    def one(self, tag: str = "", class_: str = "") -> "Node":
        [found] = self.all(tag, class_)
        return found

    def number(self, name: str) -> float:
        return float(self.attributes[name])


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Node("")]
        self.declarations: list[str] = []

    def handle_decl(self, decl: str) -> None:
        self.declarations.append(decl)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"{tag}: an attribute twice"
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].content.append(node)
        if tag not in _EMPTY:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> where <{self.open[-1].tag}> is open"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].content.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


def read_page(html: str) -> Node:
    """Return the element `html` of a file that is nothing but a doctype and that element."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.declarations == ["DOCTYPE html"]
    assert len(reader.open) == 1, f"never closed: {[node.tag for node in reader.open[1:]]}"
    return reader.open[0].one("html")


def section(page: Node, title: str) -> list[Node]:
    """Return the elements between a heading and the next."""
    children = page.one("main").children
    [start] = [i for i, node in enumerate(children) if node.tag == "h2" and node.text == title]
    end = next((i for i in range(start + 1, len(children)) if children[i].tag == "h2"), len(children))
    return [node for child in children[start + 1 : end] for node in (child, *child.all())]


def rows(nodes: list[Node]) -> dict[str, Node]:
    """Return the rows of the tables among the nodes by the text of their heads, without what is in small letters."""
    found = [node for node in nodes if node.tag == "tr" and node.children[0].attributes.get("scope") == "row"]
    names = [
        "".join(part if isinstance(part, str) else part.text for part in row.children[0].content if not _is_small(part))
        for row in found
    ]
    assert len(set(names)) == len(names), f"rows of one name: {names}"
    return dict(zip(names, found, strict=True))


def _is_small(part: Node | str) -> bool:
    return isinstance(part, Node) and part.tag == "small"

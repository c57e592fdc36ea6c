"""XML of unknown origin as a tree of bounded size: no document type, no entities, no more elements or depth than a file needs.

Refusing what XML can be made to do is defusedxml's part; this adds the bounds on memory and finds elements without namespaces.
"""

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from protocols.errors import DecodeError

MAX_BYTES = 32 * 1024 * 1024
MAX_ELEMENTS = 300_000
MAX_DEPTH = 64


class _BoundedBuilder(TreeBuilder):
    """Stops while the tree is still small."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name, self._elements, self._depth = name, 0, 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._elements += 1
        self._depth += 1
        if self._elements > MAX_ELEMENTS:
            raise DecodeError(self._name, f"at most {MAX_ELEMENTS} elements", "more")
        if self._depth > MAX_DEPTH:
            raise DecodeError(f"{self._name} element {local(tag)}", f"at most {MAX_DEPTH} levels", "more")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)


def parse(data: bytes, name: str) -> Element:
    """The root element. DecodeError: no XML, too large, or with a document type or entities."""
    if len(data) > MAX_BYTES:
        raise DecodeError(name, f"at most {MAX_BYTES} bytes", f"{len(data)}", data)
    parser = DefusedXMLParser(target=_BoundedBuilder(name), forbid_dtd=True)
    try:
        parser.feed(data)
        root: Element = parser.close()
    except DefusedXmlException as error:
        raise DecodeError(name, "XML without document type and entities", type(error).__name__, data) from error
    except (ParseError, LookupError, ValueError) as error:
        if isinstance(error, DecodeError):
            raise
        raise DecodeError(name, "well-formed XML", str(error), data) from error
    return root


def local(tag: str) -> str:
    """The element's name without its namespace."""
    return tag.rpartition("}")[2]


def children(element: Element | None, *path: str) -> Iterator[Element]:
    """All elements that a path of names leads to."""
    if element is None:
        return
    if not path:
        yield element
        return
    for child in element:
        if local(child.tag) == path[0]:
            yield from children(child, *path[1:])


def child(element: Element | None, *path: str) -> Element | None:
    """The first element that a path of names leads to."""
    return next(children(element, *path), None)


def attribute(element: Element | None, name: str) -> str:
    """An attribute, with or without its namespace; empty where there is none."""
    if element is None:
        return ""
    return next((v.strip() for k, v in element.attrib.items() if local(k) == name), "")


def text(element: Element | None) -> str:
    """The text of an element with white space collapsed."""
    return "" if element is None else " ".join("".join(element.itertext()).split())

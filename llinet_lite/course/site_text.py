"""What the pages of the course say: Markdown to HTML, LaTeX to MathML, links, pictures.

Notebook: 00
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from html import escape, unescape
from pathlib import Path
from urllib.parse import quote, unquote

from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer

from .errors import CourseError

SHORT, WIDE = 20, 28  # signs of a formula: up to here it stays whole; beyond that it scrolls on a phone
_ALPHABETS = {"bb", "bf", "cal", "frak", "it", "rm", "scr", "sf", "tt"}  # after \math
_AWAY = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)  # https:, mailto:, doi:


@dataclass
class Page:
    """One page while it is made.

    Attributes
    ----------
    source : Path
        A notebook or a Markdown file.
    title : str
        Its first heading, HTML.
    body : str
        HTML of all that it says.
    learn : list of str
        What a lesson teaches, HTML, from the box at its top.
    sections : list of (str, str)
        Anchor and HTML of every heading of the second level.
    thumb, thumb_alt : str
        Data URI of a small picture for the index, and what it shows; empty if there is none.
    anchors : set of str
    links : list of (str, str)
        Page and anchor of every link to a page of the course.
    """

    source: Path
    title: str = ""
    body: str = ""
    learn: list[str] = field(default_factory=list)
    sections: list[tuple[str, str]] = field(default_factory=list)
    thumb: str = ""
    thumb_alt: str = ""
    anchors: set[str] = field(default_factory=set)
    links: list[tuple[str, str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.source.stem}.html"

    @property
    def is_lesson(self) -> bool:
        return self.source.suffix == ".ipynb"


def picture(kind: str, data: str, alt: str) -> str:
    """Return a figure with its picture inside the page; on a small screen a tap enlarges it."""
    image = f'<img src="data:{kind};base64,{"".join(data.split())}" alt="{escape(alt)}">'
    return f'<label class="figure"><input type="checkbox" aria-label="enlarge the figure">{image}</label>\n'


def mathml(latex: str, *, block: bool = False) -> str:
    """Return LaTeX as MathML; `block` for an equation on a line of its own.

    Raises
    ------
    CourseError
        If the converter does not know a command.
    """
    known = latex.replace(r"\arg", r"\operatorname{arg}").replace(r"\!", "")
    known = re.sub(r"(\\math[a-z]+) +([A-Za-z])", r"\1{\2}", known)
    # a prime beside its letter: as a superscript it flies away in fonts that are not made for mathematics
    primed = re.compile(r"(\\text\{[^}]*\}|\\[A-Za-z]+)|([A-Za-z])'")
    known = primed.sub(lambda found: found[1] or f"{{{found[2]}\N{PRIME}}}", known)
    try:
        result = convert(known.strip(), display="block" if block else "inline")
    except Exception as error:  # the converter raises exceptions of many kinds
        raise CourseError(f"${latex.strip()}$ is no LaTeX that can be shown offline: {error!r}") from error
    # the converter shows an unknown command as it stands, and drops an unknown alphabet
    if "\\" in result or set(re.findall(r"\\math([a-z]+)", known)) - _ALPHABETS:
        raise CourseError(f"${latex.strip()}$ has a command that cannot be shown offline; write it otherwise")
    # names of functions are operators with wide gaps in MathML and narrow ones in print
    return re.sub(r"<mo>([A-Za-z]{2,})</mo>", r'<mo lspace="0.17em" rspace="0.17em">\1</mo>', result)


def split(latex: str, marks: tuple[str, ...], *, keep: bool = False) -> list[str]:
    """Return the parts of a formula between marks that stand outside of all braces.

    With `keep` a mark stays at the end of its part.
    """
    parts, depth = [""], 0
    for token in re.findall(r"\\(?:[A-Za-z]+|.)|[^\\]", latex, flags=re.DOTALL):
        depth += (token in ("{", r"\left", r"\begin")) - (token in ("}", r"\right", r"\end"))
        if depth == 0 and token in marks:
            parts[-1] += token if keep else ""
            parts.append("")
        else:
            parts[-1] += token
    return [part.strip() for part in parts if part.strip()]


def inline(latex: str) -> str:
    """Return a formula within a line; a long one may break after its equals signs, as in print."""
    whole = mathml(latex)
    if len(plain(whole)) <= SHORT:
        return whole
    parts = [mathml(part) for part in split(latex, ("=",), keep=True)]
    return " ".join(f'<span class="wide">{m}</span>' if len(plain(m)) > WIDE else m for m in parts)


def plain(html: str) -> str:
    """Return the text of a piece of HTML."""
    return " ".join(unescape(re.sub(r"<[^>]+>", "", html)).split())


class Renderer(IPythonRenderer):
    """Markdown of one page to HTML."""

    def __init__(self, page: Page, sources: set[Path]):
        super().__init__(escape=False)
        self.page, self.sources = page, sources

    def heading(self, text: str, level: int, **attrs) -> str:
        """A heading with its two anchors: as Jupyter makes them, and in small letters as GitHub does."""
        page = self.page
        anchor = base = plain(text).replace(" ", "-")
        count = 1
        while anchor in page.anchors:
            count += 1
            anchor = f"{base}-{count}"
        small = re.sub(r"[^\w-]", "", anchor.lower())
        second = "" if small in {anchor, *page.anchors} else f'<span id="{small}"></span>'
        page.anchors |= {anchor, small}
        if level == 1 and not page.title:
            page.title = text
        if level == 2:
            page.sections.append((quote(anchor), text))
        sign = f'<a class="anchor" href="#{quote(anchor)}" aria-label="link to this heading">#</a>'
        return f'<h{level} id="{escape(anchor)}">{second}{text}{sign if level > 1 else ""}</h{level}>\n'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """A link to a page of the course, or away; what is neither becomes its text."""
        if _AWAY.match(url):
            return f'<a href="{escape(url)}">{text}</a>'
        name, _, anchor = unquote(url).partition("#")
        target = (self.page.source.parent / name).resolve() if name else self.page.source.resolve()
        if target not in self.sources:
            if not target.exists():
                raise CourseError(f"the link to {url} leads nowhere")
            return text  # a file of the project, which a reader of the pages does not have
        page = f"{target.stem}.html"
        self.page.links.append((page, anchor))
        return f'<a href="{page if name else ""}{"#" + quote(anchor) if anchor else ""}">{text}</a>'

    def image(self, text: str, url: str, title: str | None = None) -> str:
        if not text.strip():
            raise CourseError(f"the picture {url} has no alt text")
        path = self.page.source.parent / unquote(url)
        if _AWAY.match(url) or not path.is_file():
            raise CourseError(f"the picture {url} is no file beside the lessons")
        kind = {".svg": "svg+xml", ".jpg": "jpeg"}.get(path.suffix, path.suffix[1:])
        return picture(f"image/{kind}", base64.b64encode(path.read_bytes()).decode(), text)

    def table(self, text: str) -> str:
        return f'<div class="scroll"><table>\n{text}</table></div>\n'

    def inline_math(self, body: str) -> str:
        return inline(body)

    def block_math(self, body: str) -> str:
        # a line may break where the author left a wide gap
        statements = split(body, (r"\quad", r"\qquad"))
        parts = "".join(f"<span>{mathml(part, block=True)}</span>" for part in statements)
        return f'<span class="equation">{parts}</span>'

    def latex_environment(self, name: str, body: str) -> str:
        return self.block_math(rf"\begin{{{name}}}{body}\end{{{name}}}")

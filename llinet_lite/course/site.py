"""The course as HTML pages that need no network: one per lesson, one per text beside them, an index.

Pages are made of the notebooks as they stand, with the outputs they hold; nothing is
run. Mathematics becomes MathML, pictures and sounds lie inside the page, there is no
script. Solutions and long code are folded.

Notebook: 00
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable
from functools import cache
from html import escape
from pathlib import Path

import nbformat
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from nbconvert.filters import Highlight2HTML, strip_ansi
from nbconvert.filters.markdown_mistune import MarkdownWithMath

from .errors import CourseError
from .site_text import Page, Renderer, picture, plain

LONGEST_OPEN = 16  # lines; longer code is folded
THUMB = (480, 320)  # pixels of a lesson's picture on the index
_TEXTS = ("claims", "glossary", "notation")  # texts that lessons refer to stand first, in this order
_PICTURES = ("image/png", "image/jpeg")


# ---- cells


def tidy(html: str) -> str:
    """Return the HTML of an output without what no page may hold, tables in a box that scrolls."""
    html = re.sub(r"<style[^>]*>.*?</style>\s*", "", html, flags=re.DOTALL)
    html = re.sub(r' border="1"| valign="top"| style="text-align: right;"', "", html)
    html = re.sub(
        r"<(t[dh])>([^<]{25,})</", r'<\1 class="long">\2</', html
    )  # long texts break, numbers do not
    if not re.search(r"<td[^>]*>[A-Za-z]", html):
        html = html.replace('class="dataframe"', 'class="dataframe numbers"')
    if re.search(r"<script|<link|\b(?:src|href)=[\"']?(?:https?:)?//", html):
        raise CourseError("an output needs a script or the network")
    for image in re.findall(r"<img[^>]*>", html):
        if not re.search(r'alt="[^"]+"', image):
            raise CourseError("a picture in an output has no alt text")
    return f'<div class="scroll">{html}</div>\n' if "<table" in html else f'<div class="shown">{html}</div>\n'


def _printed(text: str) -> str:
    """Return printed text, each line apart, so that a broken line can be told from the next one."""
    lines = escape(strip_ansi(text).strip("\n"), quote=False).splitlines()
    return f'<pre class="out">{"".join(f"<span>{line}</span>" for line in lines)}</pre>\n'


def _output(output: nbformat.NotebookNode, markdown: MarkdownWithMath) -> str:
    """Return the richest form of an output that a page without scripts can show."""
    if output.output_type == "stream":
        return _printed(output.text)
    if output.output_type == "error":
        raise CourseError(f"ends in an error: {output.ename}: {output.evalue}")
    data = output.data
    if "application/vnd.jupyter.widget-view+json" in data:
        return '<p class="note">These controls move in Jupyter; here a still picture stands for them.</p>\n'
    if "text/html" in data:
        return tidy(data["text/html"])
    if "text/markdown" in data:
        return markdown.render(data["text/markdown"])
    for kind in _PICTURES:
        if kind in data:
            alt = output.metadata.get(kind, {}).get("alt", "")
            if not alt.strip():
                raise CourseError("a figure has no alt text")
            return picture(kind, data[kind], alt)
    if "text/plain" in data:
        return _printed(data["text/plain"])
    raise CourseError(f"an output of the kinds {', '.join(data)} cannot be shown on a page")


def _joined(outputs: Iterable[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Return the outputs, neighbouring printed ones as one."""
    result: list[nbformat.NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream" and result and result[-1].output_type == "stream":
            result[-1] = nbformat.from_dict({**result[-1], "text": result[-1].text + output.text})
        else:
            result.append(output)
    return result


@cache
def _highlight() -> Highlight2HTML:
    return Highlight2HTML(pygments_lexer="ipython3")


def _code(cell: nbformat.NotebookNode, markdown: MarkdownWithMath) -> str:
    """Return a code cell with its outputs; solutions and exercises folded as a whole, long code alone."""
    tags = cell.metadata.get("tags", [])
    code = _highlight()(cell.source.rstrip())
    shown = "".join(_output(output, markdown) for output in _joined(cell.outputs))
    if "solution" in tags:
        return f'<details class="solution"><summary>Solution</summary>{code}{shown}</details>\n'
    if re.search(r"\bExercise\(", cell.source):
        summary = "The cell of this exercise, to be run in Jupyter (it gives the answer away)"
        return f'<details class="exercise"><summary>{summary}</summary>{code}{shown}</details>\n'
    lines = cell.source.rstrip().count("\n") + 1
    opened = "" if lines > LONGEST_OPEN or "parameters" in tags else " open"
    label = f"code, {lines} line{'s' if lines > 1 else ''}"
    return f'<details class="code"{opened}><summary>{label}</summary>{code}</details>\n{shown}'


# ---- pages


def page_of(source: Path, sources: set[Path]) -> Page:
    """Make the page of a notebook or of a Markdown file.

    Parameters
    ----------
    source : Path
    sources : set of Path
        Every file that becomes a page, resolved: links to them are kept.

    Raises
    ------
    CourseError
        If something on it cannot be shown offline, or leads nowhere; file and cell are named.
    """
    page = Page(source)
    markdown = MarkdownWithMath(Renderer(page, sources))
    cells = [nbformat.v4.new_markdown_cell(source.read_text("utf-8"))]
    if page.is_lesson:
        cells = nbformat.read(source, as_version=4).cells
    parts = []
    for number, cell in enumerate(cells):
        try:
            if cell.cell_type == "markdown":
                parts.append(markdown.render(cell.source))
            elif cell.source.strip():
                parts.append(_code(cell, markdown))
        except CourseError as error:
            place = f", cell {number}" if page.is_lesson else ""
            raise CourseError(f"{source.name}{place}: {error}") from error
    if not page.title:
        raise CourseError(f"{source.name} has no heading: start it with a line `# Title`")
    page.body = "".join(parts)
    if page.is_lesson:
        box = re.search(r"<blockquote>.*?<ul>(.*?)</ul>", parts[0], flags=re.DOTALL)
        page.learn = re.findall(r"<li>(.*?)</li>", box[1], flags=re.DOTALL) if box else []
        page.thumb, page.thumb_alt = _thumbnail(cells)
    return page


def _thumbnail(cells: Iterable[nbformat.NotebookNode]) -> tuple[str, str]:
    """Return the richest figure of a lesson, the one of most bytes, small, and its alt text."""
    from PIL import Image, ImageOps

    figures = [
        (output.data["image/png"], output.metadata["image/png"]["alt"])
        for cell in cells
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", ())
    ]
    if not figures:
        return "", ""
    data, alt = max(figures, key=lambda item: len(item[0]))
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        small = ImageOps.fit(image.convert("RGB"), THUMB, Image.Resampling.LANCZOS, centering=(0, 0))
    jpeg = io.BytesIO()
    small.save(jpeg, format="JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode(), alt


def sources_of(notebooks: Path) -> list[Path]:
    """Return the files that become pages: lessons by number, then the texts beside them.

    Raises
    ------
    CourseError
        If there is no notebook.
    """
    lessons = sorted(notebooks.glob("[0-9]*.ipynb"))
    if not lessons:
        raise CourseError(f"{notebooks} holds no lesson: name the folder of the notebooks with --notebooks")
    return lessons + sorted(notebooks.glob("*.md"), key=lambda p: (p.stem not in _TEXTS, p.stem))


def _check_links(pages: Iterable[Page]) -> None:
    """Refuse links to headings that are not there."""
    anchors = {page.name: page.anchors for page in pages}
    lost = [
        f"{page.source.name} links to {target}#{anchor}"
        for page in pages
        for target, anchor in page.links
        if anchor and anchor not in anchors[target]
    ]
    if lost:
        raise CourseError(f"no such heading: {'; '.join(lost)}. Correct the links or the headings")


def build(notebooks: Path, folder: Path) -> dict[str, int]:
    """Write the whole course as HTML pages and return the size of each.

    Parameters
    ----------
    notebooks : Path
        Folder of the lessons, `[0-9]*.ipynb`, and of texts beside them, `*.md`.
    folder : Path
        Where the pages go; made if it is not there.

    Returns
    -------
    dict of str to int
        Bytes by name of the page; index.html first.

    Raises
    ------
    CourseError
        If a page cannot be shown offline, a picture has no alt text or a link leads nowhere;
        nothing is written then.
    """
    sources = sources_of(notebooks)
    resolved = {path.resolve() for path in sources}
    pages = [page_of(path, resolved) for path in sources]
    _check_links(pages)
    here = Path(__file__).parent
    templates = Environment(
        loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    shared = {"css": (here / "site.css").read_text("utf-8"), "pages": pages, "plain": plain}
    html = {"index.html": templates.get_template("site_index.html.j2").render(**shared)}
    template = templates.get_template("site_page.html.j2")
    for before, page, after in zip([None, *pages], pages, [*pages[1:], None], strict=False):
        html[page.name] = template.render(page=page, before=before, after=after, **shared)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in html.items():
        (folder / name).write_text(text, encoding="utf-8")
    return {name: len(text.encode()) for name, text in html.items()}

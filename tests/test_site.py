"""The course as pages: valid structure, no network, mathematics as MathML, links that lead somewhere."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from llinet_lite.__main__ import main
from llinet_lite.course import CourseError, site
from llinet_lite.course.site_text import inline, mathml, plain, split

PRIME, REALS, LOSS = "\N{PRIME}", "\N{DOUBLE-STRUCK CAPITAL R}", "\N{SCRIPT CAPITAL L}"
VOID = {"meta", "img", "br", "input", "link", "hr"}
LESSON = r"""# 00 · First: a *lesson*

> **What you will learn**
> * what $x_i^\top z$ is
> * how to count

## 1. The claim

The [next](01_second.ipynb#2.-Two-words) one, a [term](glossary.md#chance), [a file](../results.txt),
[away](https://example.org).

$$ s'=\operatorname{softmax}(s)\in\mathbb R^{D},\qquad \mathcal L = \frac1N\sum_i e^{-s'_i} . $$

| a | b |
|---|---|
| $x<1$ | 2 |

<details><summary>Answer</summary>
Forty-two.
</details>
"""
FRAME = (
    '<div>\n<style scoped>\n.dataframe {}\n</style>\n<table border="1" class="dataframe">\n'
    '<thead><tr style="text-align: right;"><th></th><th>value</th></tr></thead>\n'
    "<tbody><tr><th>a name that goes on for long</th><td>0.5</td></tr></tbody></table>\n</div>"
)
SOUND = '<div style="width:9em">a tone<br><audio controls src="data:audio/mpeg;base64,//OIxA"></audio></div>'


class Outline(HTMLParser):
    """What a page holds: its tags with attributes, and that every tag is closed in order."""

    def __init__(self, page: Path):
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.text: list[tuple[str, str]] = []  # (path of tags, text)
        self.feed(page.read_text("utf-8"))
        self.close()
        assert not self.open, f"{page.name}: not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes <{self.open[-1:]}>"
        self.open.pop()

    def handle_data(self, data):
        self.text.append((" ".join(self.open), data))

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]

    def inside(self, tag: str) -> str:
        return "".join(text for path, text in self.text if tag in path.split())


def png() -> str:
    data = io.BytesIO()
    Image.new("RGB", (600, 300), "white").save(data, format="PNG")
    return base64.b64encode(data.getvalue()).decode()


def display(data: dict, metadata: dict | None = None):
    return new_output("display_data", data=data, metadata=metadata or {})


def write(folder: Path, name: str, *cells) -> None:
    nbformat.write(new_notebook(cells=list(cells)), folder / f"{name}.ipynb")


def figure(alt: str = "A white field."):
    return display({"image/png": png(), "text/plain": f"Figure: {alt}"}, {"image/png": {"alt": alt}})


@pytest.fixture
def notebooks(tmp_path) -> Path:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (tmp_path / "results.txt").touch()
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "Browser()"}
    printed = [new_output("stream", text="one & "), new_output("stream", text="two\nthree <4>\n")]
    write(
        folder,
        "00_first",
        new_markdown_cell(LESSON),
        new_code_cell("profile = 'laptop'", metadata={"tags": ["parameters"]}),
        new_code_cell("def f(x):\n    return x < 1", outputs=printed),
        new_code_cell("\n".join(f"step_{k} = {k}" for k in range(30)), outputs=[figure('White "field".')]),
        new_code_cell("table", outputs=[display({"text/html": FRAME, "text/plain": "0.5"})]),
        new_code_cell("sound", outputs=[display({"text/html": SOUND})]),
        new_code_cell("browser", outputs=[display(widget)]),
        new_code_cell("box", outputs=[display({"text/markdown": "costs $2^k$ minutes"})]),
        new_code_cell("ask = Exercise('Exercise 1', judge)\nask(...)"),
        new_code_cell("solution = 42", metadata={"tags": ["solution"]}),
    )
    write(folder, "01_second", new_markdown_cell("# 01 · Second\n\n## 2. Two words\n\n## 2. Two words\n"))
    (folder / "glossary.md").write_text("# Glossary\n\n## Chance\n\nSee [00](00_first.ipynb).\n", "utf-8")
    return folder


@pytest.fixture
def pages(notebooks, tmp_path) -> dict[str, Outline]:
    folder = tmp_path / "site"
    sizes = site.build(notebooks, folder)
    assert sizes == {path.name: path.stat().st_size for path in folder.iterdir()}
    return {name: Outline(folder / name) for name in sizes}


def check(pages: dict[str, Outline]) -> None:
    """What every page of every site must hold."""
    ids = {name: [a["id"] for _, a in page.tags if "id" in a] for name, page in pages.items()}
    for name, page in pages.items():
        assert page.all("html")[0]["lang"] == "en" and len(page.all("h1")) == 1
        assert any(meta.get("name") == "viewport" for meta in page.all("meta"))
        assert not page.all("script") and not page.all("link") and not page.all("iframe")
        assert len(ids[name]) == len(set(ids[name])), f"{name}: an id comes twice"
        assert all(image.get("alt", "").strip() for image in page.all("img")), name
        for tag, attributes in page.tags:
            for source in (attributes.get("src"), attributes.get("poster"), attributes.get("srcset")):
                assert source is None or source.startswith("data:"), f"{name}: {tag} loads {source[:80]}"
        for href in (a["href"] for a in page.all("a")):
            if not urlsplit(href).scheme:
                target, _, anchor = unquote(href).partition("#")
                assert (target or name) in pages, f"{name}: {href}"
                assert not anchor or anchor in ids[target or name], f"{name}: {href}"
    assert "url(" not in pages["index.html"].inside("style")
    assert "@import" not in pages["index.html"].inside("style")


def test_pages_need_nothing_and_lead_somewhere(pages):
    assert list(pages) == ["index.html", "00_first.html", "01_second.html", "glossary.html"]
    check(pages)
    lesson = pages["00_first.html"]
    hrefs = [a["href"] for a in lesson.all("a")]
    assert "01_second.html#2.-Two-words" in hrefs and "glossary.html#chance" in hrefs
    assert "https://example.org" in hrefs and not any("results" in href for href in hrefs)
    assert [a["href"] for a in lesson.all("a") if a.get("rel") == "next"] == ["01_second.html"]
    assert [a["href"] for a in pages["01_second.html"].all("a") if a.get("rel") == "prev"] == [
        "00_first.html"
    ]


def test_the_index_lists_lessons_with_what_they_teach(pages):
    index = pages["index.html"]
    hrefs = [a["href"] for a in index.all("a")]
    assert hrefs == ["00_first.html", "01_second.html", "glossary.html"]
    assert "how to count" in index.inside("li") and index.all("math")
    assert [image["alt"] for image in index.all("img")] == ['White "field".']


def test_mathematics_is_mathml(pages):
    lesson = pages["00_first.html"]
    assert len([m for m in lesson.all("math") if m["display"] == "block"]) == 2  # parted at \qquad
    shown = "".join(text for path, text in lesson.text if "math" in path.split())
    assert {"s", PRIME, "softmax", REALS, LOSS, "∑", "<"} <= set(re.findall(r"softmax|\S", shown))
    everything = "".join(text for path, text in lesson.text if "style" not in path and "pre" not in path)
    assert "$" not in everything and "\\" not in everything


def test_code_folds_and_outputs_show(pages):
    lesson = pages["00_first.html"]
    kinds = [(a.get("class"), "open" in a) for a in lesson.all("details")]
    assert kinds.count(("solution", False)) == 1 and kinds.count(("exercise", False)) == 1
    assert [opened for kind, opened in kinds if kind == "code"] == [
        False,
        True,
        False,
        True,
        True,
        True,
        True,
    ]
    assert (None, False) in kinds  # the answer, as the lesson wrote it
    assert "Forty-two." in lesson.inside("details") and "42" in lesson.inside("details")
    assert "one & twothree <4>" in lesson.inside("pre").replace("\n", "")
    assert {"class": "out"} in lesson.all("pre")
    assert lesson.all("audio")[0]["src"] == "data:audio/mpeg;base64,//OIxA"
    assert "still picture" in lesson.inside("p") and "Browser()" not in lesson.inside("body")
    assert not [a for a in lesson.all("table") if "border" in a] and len(lesson.all("style")) == 1
    assert {"class": "long"} in lesson.all("th")


def test_formulas():
    assert plain(mathml("x'_i")) == f"x{PRIME}i" and "msup" not in mathml("Wx'")
    assert plain(mathml(r"\text{picture's}")) == "picture's" and plain(mathml(r"\alpha'"))[1] == PRIME
    assert plain(mathml(r"\mathbb R^D")) == plain(mathml(r"\mathbb{R}^D")) == f"{REALS}D"
    assert plain(mathml(r"\mathcal L")) == plain(mathml(r"\mathcal{L}")) == LOSS
    assert plain(mathml(r"\mathrm{mIoU}")) == "mIoU" and "arg" in mathml(r"\arg\min_c x")
    assert split(r"a,\quad \text{b\quad c}\qquad d", (r"\quad", r"\qquad")) == ["a,", r"\text{b\quad c}", "d"]
    assert split(r"a=b=\frac{c=d}{e}", ("=",), keep=True) == ["a=", "b=", r"\frac{c=d}{e}"]
    assert inline("a=b").count("<math") == 1
    assert inline(r"a = b + c + d + e + f + g = h + i + j + k + l + m").count("<math") == 3
    with pytest.raises(CourseError, match="cannot be shown offline"):
        mathml(r"\unheardof x")
    with pytest.raises(CourseError, match="cannot be shown offline"):
        mathml(r"\mathr{m}")


def code(*outputs):
    return new_code_cell("show", outputs=list(outputs))


WRONG = {
    "cell 1: a figure has no alt text": code(figure(" ")),
    "cell 1: an output needs a script": code(display({"text/html": "<script src=x></script>"})),
    "a script or the network": code(display({"text/html": '<img alt="a" src="https://example.org/a.png">'})),
    "picture in an output has no alt": code(display({"text/html": '<img src="data:image/png;base64,AA==">'})),
    "cannot be shown on a page": code(display({"application/x-new": "1"})),
    "ends in an error: ValueError": code(new_output("error", ename="ValueError", evalue="no", traceback=[])),
    "link to 07_gone.ipynb leads nowhere": new_markdown_cell("[next](07_gone.ipynb)"),
    "no such heading: 00_first.ipynb links to 01_second.html#Gone": new_markdown_cell(
        "[x](01_second.ipynb#Gone)"
    ),
    "no LaTeX|cannot be shown offline": new_markdown_cell(r"$\unheardof$"),
    "has no alt text": new_markdown_cell("![](a.png)"),
    "is no file beside the lessons": new_markdown_cell("![A picture](https://example.org/a.png)"),
}


@pytest.mark.parametrize("sentence", WRONG)
def test_what_no_page_can_show_is_refused_and_nothing_is_written(notebooks, tmp_path, sentence):
    write(notebooks, "00_first", new_markdown_cell("# First"), WRONG[sentence])
    with pytest.raises(CourseError, match=sentence):
        site.build(notebooks, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_page_needs_a_heading_and_a_site_a_lesson(notebooks, tmp_path):
    (notebooks / "note.md").write_text("no heading", "utf-8")
    with pytest.raises(CourseError, match=r"note\.md has no heading"):
        site.build(notebooks, tmp_path / "site")
    with pytest.raises(CourseError, match="holds no lesson"):
        site.build(tmp_path, tmp_path / "site")


def test_the_command_says_what_the_pages_weigh(notebooks, tmp_path, capsys):
    main_exits(["course", "--html", "--notebooks", str(notebooks), "--runs", str(tmp_path / "runs")], 0)
    said = capsys.readouterr().out
    folder = tmp_path / "runs" / "site"
    total = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    assert f"{total:6.2f} MB  in 4 pages; open {folder / 'index.html'}" in said
    main_exits(["course", "--html", "--notebooks", str(notebooks), "--out", str(tmp_path / "else")], 0)
    assert (tmp_path / "else" / "index.html").is_file()
    main_exits(["course", "--out", str(tmp_path)], 2)
    assert "add --html" in capsys.readouterr().err


def main_exits(arguments: list[str], code: int) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == code


def test_the_course_itself(tmp_path):
    """Every lesson and text of the course becomes a page; every link and anchor among them holds."""
    site.build(Path(__file__).resolve().parent.parent / "notebooks", tmp_path)
    pages = {path.name: Outline(path) for path in tmp_path.iterdir()}
    assert {"index.html", "00_welcome.html", "glossary.html", "notation.html"} <= set(pages)
    check(pages)
    assert sum(len(page.all("math")) for page in pages.values()) > 200
    assert sum(len(page.all("audio")) for page in pages.values()) > 50


def test_the_glossary_is_in_order_and_every_term_links_to_its_lesson():
    text = (Path(__file__).resolve().parent.parent / "notebooks" / "glossary.md").read_text("utf-8")
    entries = re.findall(r"^### (.+)\n\n(.+)$", text, flags=re.MULTILINE)
    terms = [term.lower().replace("-", " ") for term, _ in entries]
    assert terms == sorted(set(terms)) and len(terms) > 80
    assert not [
        term for term, said in entries if not re.search(r"\[Lesson \d\d\]\(\d\d_\w+\.ipynb#\S+\)$", said)
    ]
    letters = re.findall(r"^## (.)$", text, flags=re.MULTILINE)
    assert letters == sorted({term[0].upper() for term in terms})

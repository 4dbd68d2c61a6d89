"""The book: built without a warning, every link of it leads somewhere, and nothing in it asks the network."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LESSONS = [path.stem for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))]
FETCHED = re.compile(
    r"<(?:script|link|img|audio|video|iframe)\b[^>]*?\b(?:src|href)=[\"'](?:https?:)?//[^\"']+"
)
TEXTS = ("glossary", "notation", "index")


def build(builder: str, folder: Path, *options: str) -> None:
    """Build the book; a warning is an error, and so is a link that leads nowhere."""
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-n", "-b", builder, *options]
    done = subprocess.run(
        [*command, "-c", "book", "notebooks", str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("book")
    build("html", folder)
    return folder


def test_every_lesson_is_a_page_that_needs_no_network(pages):
    for name in (*LESSONS, *TEXTS):
        page = (pages / f"{name}.html").read_text(encoding="utf-8")
        assert not FETCHED.search(page), f"{name}: {FETCHED.search(page).group()}"
    assert (pages / "searchindex.js").stat().st_size > 10_000


def test_links_into_a_page_find_their_heading(pages):
    texts = {page.name: page.read_text("utf-8") for page in pages.glob("*.html")}
    ids = {name: set(re.findall(r'\bid="([^"]+)"', text)) for name, text in texts.items()}
    lost = []
    for name, text in texts.items():
        for target, anchor in re.findall(r'href="([\w.]*)#([^"]+)"', text):
            if anchor not in ids.get(target or name, ()):
                lost.append(f"{name}: {target}#{anchor}")
    assert not lost, "\n".join(lost)


def test_the_epub_holds_every_lesson_with_its_formulas(tmp_path):
    build("epub", tmp_path, "-D", "html_math_renderer=mathml")
    with zipfile.ZipFile(next(tmp_path.glob("*.epub"))) as book:
        texts = {name: book.read(f"{name}.xhtml").decode() for name in LESSONS}
    assert "<math" in texts["05_llinet_losses"]
    assert not any(FETCHED.search(text) for text in texts.values())

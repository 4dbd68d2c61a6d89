"""How the committed notebooks become a book: pages with search, and an EPUB; both open without a network."""

import re
import tomllib
from functools import partial
from pathlib import Path

from latex2mathml.converter import convert

ROOT = Path(__file__).resolve().parent.parent

project = "Look, Listen and Infer"
author = "The llinet-lite authors"
copyright = author
language = "en"
version = release = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = ["myst_nb", "sphinx-mathjax-offline"]
exclude_patterns = ["**/.ipynb_checkpoints"]
nitpicky = True

# The notebooks are shown as they are committed; nothing is run.
nb_execution_mode = "off"
nb_ipywidgets_js = {}  # a still stands for each widget: no page asks the network for a manager
nb_merge_streams = True
nb_render_markdown_format = "myst"
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 4

myst_heading_slug_func = partial(re.sub, " ", "-")  # as JupyterLab names them: one link serves both

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = [str(Path(__file__).parent / "static")]
html_css_files = ["book.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "pygments_light_style": "tango",
    "pygments_dark_style": "github-dark",
}

epub_show_urls = "no"
epub_css_files = ["book.css"]
suppress_warnings = ["epub.unknown_project_files", "mystnb.unknown_mime_type"]


def mathml(translator, node, display: str) -> None:
    """Write a formula as MathML, which readers of EPUB show without a script."""
    from docutils.nodes import SkipNode

    translator.body.append(convert(node.astext(), display=display))
    raise SkipNode


def setup(app) -> None:
    """Offer MathML to the EPUB; pages in a browser have MathJax, from the book's own files."""
    app.add_html_math_renderer(
        "mathml", (partial(mathml, display="inline"), None), (partial(mathml, display="block"), None)
    )

"""Paper versus code: every difference a named argument, each run, with what it is worth.

`llinet` and `avenet` describe and measure the differences, `effects` puts them into a table and a figure.

Notebook: 09
"""

from llinet_lite.audit import avenet, llinet
from llinet_lite.audit.effects import COMPARED, Effect, figure, frame, published, results

__all__ = ["COMPARED", "Effect", "avenet", "figure", "frame", "llinet", "published", "results"]

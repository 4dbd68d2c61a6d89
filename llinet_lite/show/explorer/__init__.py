"""The attention explorer: choose a picture and a sound, and see where networks hear it.

Notebook: 07
"""

from llinet_lite.show.explorer.listener import Heard, Listener, Seen
from llinet_lite.show.explorer.stage import Answer, Stage
from llinet_lite.show.explorer.widget import Explorer

__all__ = ["Answer", "Explorer", "Heard", "Listener", "Seen", "Stage"]

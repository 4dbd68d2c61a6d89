"""The explorer on the page: what the reader chooses goes to the stage, what it answers to the browser.

Notebook: 07
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import anywidget
import traitlets
from matplotlib.figure import Figure

from llinet_lite.data.media import MediaError
from llinet_lite.data.store import Store
from llinet_lite.show.explorer import page
from llinet_lite.show.explorer.items import MEGABYTES, SHORTEST, Picture, Sound, photo, recording
from llinet_lite.show.explorer.listener import Listener
from llinet_lite.show.explorer.stage import Answer, Stage
from llinet_lite.show.explorer.still import still

HERE = Path(__file__).parent
KINDS = ("own sound", "another class", "mixture", "silence", "uploaded", "recorded")
BROUGHT = {"sound": "uploaded", "recording": "recorded"}  # what a message brings, and what it is then called
DATA_ERRORS = (ValueError, RuntimeError, OSError)  # of files, stores and networks; anything else is a fault
PHOTO = -1  # number of the uploaded photo


class Explorer(anywidget.AnyWidget):
    """See where networks hear a sound in a picture, ask a spot for its sounds, and bring photos and sounds.

    Every control of the page is an attribute here: set it, and `status` states the answer.

    Parameters
    ----------
    listeners : mapping of title to Listener
        Of `avc.listener` and `zeroshot.listener`; shown side by side.
    store : Store
    split : str
        What is chosen from, and searched.
    most : int
        At most so many pictures and sounds of a class, spread evenly over the split; 0: all.

    Attributes
    ----------
    picture : int
        Number of the picture, from 0; -1 for an uploaded photo.
    sound : {"own sound", "another class", "mixture", "silence", "uploaded", "recorded"}
    other : str
        Class of "another class" and of "mixture".
    time : float
        Moment of the sound, seconds; -1: each listener hears as much as it was tested on.
    threshold, opacity : float
        0 to 1.
    shown : list of str
        Titles of the listeners that answer.
    spot : list of float
        (y, x) in sides of the picture, or empty.
    status : str
        The answer in words, or what went wrong.

    Raises
    ------
    ValueError
        If there is no listener, or the split does not suit one.

    Notebook: 07
    """

    _esm = HERE / "explorer.js"
    _css = HERE / "explorer.css"

    picture = traitlets.Int(0).tag(sync=True)
    sound = traitlets.Enum(KINDS, "own sound").tag(sync=True)
    other = traitlets.Unicode().tag(sync=True)
    time = traitlets.Float(-1.0).tag(sync=True)
    threshold = traitlets.Float(0.5, min=0, max=1).tag(sync=True)
    opacity = traitlets.Float(0.55, min=0, max=1).tag(sync=True)
    shown = traitlets.List(traitlets.Unicode()).tag(sync=True)
    spot = traitlets.List(traitlets.Float()).tag(sync=True)
    # what the page shows
    status = traitlets.Unicode().tag(sync=True)
    menu = traitlets.Dict().tag(sync=True)
    scene = traitlets.Dict().tag(sync=True)
    clip = traitlets.Dict().tag(sync=True)
    found = traitlets.Dict().tag(sync=True)
    fitting = traitlets.List().tag(sync=True)
    brought = traitlets.Dict().tag(sync=True)

    def __init__(self, listeners: Mapping[str, Listener], store: Store, split: str, *, most: int = 20):
        self.stage, self.split = Stage(listeners, store, split, most=most), split
        self.shelf = page.Shelf(self.stage)
        self.answers: dict[str, Answer] = {}
        self._now: tuple[Picture, Sound] | None = None
        self._photo: Picture | None = None
        self._sounds: dict[str, Sound] = {}
        self._parts: dict[tuple[str, str], list[bytes]] = {}
        # A cell may set an attribute while the reader moves a control: Jupyter has a thread for each.
        self._lock, self._answering = threading.RLock(), 0
        super().__init__(
            menu=page.menu(self.stage), shown=list(self.stage.listeners),
            other=self.stage.names[self.stage.classes()[0]],
        )  # fmt: skip
        self._update(self._first)
        self.observe(self._chosen, names=["picture", "sound", "other", "time", "shown"])
        self.observe(self._cut, names=["threshold"])
        self.observe(self._asked, names=["spot"])
        self.on_msg(self._received)

    def __repr__(self) -> str:
        count = f"{len(self.stage.pictures)} pictures and {len(self.stage.sounds)} sounds of {self.split}"
        return f"Explorer({', '.join(self.stage.listeners)}; {count})"

    def still(self) -> tuple[Figure, str]:
        """Return what is shown now as a figure with its alt text, for readers without a kernel."""
        return still(self.answers.values(), self._frame(), self.threshold, self._title())

    def _title(self) -> str:
        picture, sound = self._shown()
        moment = f", around {self.time:.2f} s" if self.time >= 0 else ""
        return f"{picture.told}, heard: {self._heard(sound)}{moment}"

    def _heard(self, sound: Sound) -> str:
        return sound.caption if self.sound == "silence" else f"{self.sound} ({sound.caption})"

    # ---- from the page to the stage

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Change what is shown in one message, one thread at a time, and do not answer one's own changes."""
        with self._lock:
            outer, self._answering = self._answering, threading.get_ident()
            try:
                with self.hold_sync():
                    yield
            finally:
                self._answering = outer

    def _is_own(self) -> bool:
        """Whether it is this answer itself that changes something."""
        return self._answering == threading.get_ident()

    def _update(self, answer: Callable[[], None], of: str = "change") -> None:
        """Answer, or say in the status line why not; the page is told what it was that was answered."""
        with self._quietly():
            try:
                answer()
            except DATA_ERRORS as error:
                self.status = f"{str(error).rstrip('. ')}."
        self.send({"type": "said", "of": of})  # the line may say the same as before, and the page wait

    def _chosen(self, change) -> None:
        if self._is_own():
            return

        def answer() -> None:
            if change.name == "picture":
                self._leave_photo()
            if change.name in ("picture", "sound", "other"):
                self.time = -1.0
            self._show()

        self._update(answer)

    def _cut(self, _change) -> None:
        if not self._is_own():
            self._update(self._say)

    def _asked(self, _change) -> None:
        if not self._is_own():
            self._update(self._ask)

    def _received(self, _widget, content: dict, buffers: list) -> None:
        """Take a message of the page: parts of a file, or the wish for a film."""
        if content.get("type") == "film":
            self._update(self._film, "film")
        elif content.get("type") == "file":
            key = content["kind"], str(content["name"])
            if self._collect(key, content, b"".join(bytes(part) for part in buffers)):
                self._update(lambda: self._bring(*key, content["part"] + 1))

    def _collect(self, key: tuple[str, str], content: dict, data: bytes) -> bool:
        """Keep a part of a file, for a whole one is too big a message; whether it is time to read it."""
        parts = self._parts.setdefault(key, [])
        if content["part"] != len(parts):  # a part was lost, or the file comes anew
            parts.clear()
        if content["part"] == len(parts):
            parts.append(data)
        return content["part"] + 1 >= content["parts"] or sum(map(len, parts)) > MEGABYTES * 10**6

    def _bring(self, kind: str, name: str, count: int) -> None:
        """Read a file of which so many parts were sent."""
        parts = self._parts.pop((kind, name))
        if len(parts) != count:
            raise MediaError(name, "a part of the file was lost on its way here; choose it again")
        if kind == "photo":
            self.bring_photo(name, b"".join(parts))
        else:
            self.bring_sound(name, b"".join(parts), BROUGHT[kind])

    def bring_photo(self, name: str, data: bytes) -> None:
        """Show a photo, given as the bytes of its file; it needs a sound that is not its own.

        Raises
        ------
        MediaError
            The sentence says what is wrong with it.
        """
        self._photo = photo(name, data, self.stage.size)
        with self._quietly():
            self.brought = self.brought | {"photo": self._photo.caption}
            self.picture, self.time, self.spot = PHOTO, -1.0, []
            self._leave_own_sound()
            self._show()

    def bring_sound(self, name: str, data: bytes, kind: str = "uploaded") -> None:
        """Hear a sound, given as the bytes of its file.

        Raises
        ------
        MediaError
            The sentence says what is wrong with it.
        """
        needed = [max(of.window, of.whole) for of in self.stage.listeners.values() if of.whole]
        self._sounds[kind] = recording(name, data, self.stage.rate, max([SHORTEST, *needed]))
        with self._quietly():
            self.brought = self.brought | {kind: self._sounds[kind].caption}
            self.sound, self.time = kind, -1.0
            self._show()

    def _leave_photo(self) -> None:
        self.spot = []
        if self.picture == PHOTO:
            self._leave_own_sound()

    def _leave_own_sound(self) -> None:
        """Choose another sound, for an uploaded photo has none of its own."""
        if self.sound in ("own sound", "mixture"):
            self.sound = next(iter(self._sounds), "another class")

    # ---- from the stage to the page

    def _first(self) -> None:
        label = self.stage.pictures[0].players[0]
        others = [c for c in self.stage.classes() if c != label]
        if others:
            self.other = self.stage.names[others[0]]
        try:
            self._show()
        except ValueError:  # no sound of its own
            self.sound = "another class"
            self._show()

    def _current(self) -> tuple[Picture, Sound]:
        if self.picture == PHOTO and self._photo is None:
            raise ValueError("there is no uploaded photo yet: upload one, or choose a picture of the list")
        if not PHOTO <= self.picture < len(self.stage.pictures):
            raise ValueError(f"picture must be 0 to {len(self.stage.pictures) - 1}, not {self.picture}")
        picture = self._photo if self.picture == PHOTO else self.stage.pictures[self.picture]
        if self.sound in BROUGHT.values():
            if self.sound not in self._sounds:
                what = "upload a sound" if self.sound == "uploaded" else "record one"
                raise ValueError(f"no sound was {self.sound} yet: {what} first")
            return picture, self._sounds[self.sound]
        if self.other not in self.stage.names:
            raise ValueError(f"there is no class {self.other!r}: choose one of the list")
        return picture, self.stage.choose(self.sound, picture, self.stage.names.index(self.other))

    def _shown(self) -> tuple[Picture, Sound]:
        if self._now is None:
            raise ValueError(f"nothing is shown yet: {self.status or 'choose a picture that has a sound'}")
        return self._now

    def _moment(self, sound: Sound) -> float | None:
        return None if self.time < 0 else min(self.time, sound.seconds)

    def _frame(self) -> Picture:
        """Return the picture that is shown: at a time of a clip, the frame of that time."""
        picture, sound = self._shown()
        time = self._moment(sound)
        return picture if time is None else picture.at(time)

    def _names(self) -> list[str]:
        return [name for name in self.stage.listeners if name in self.shown]

    def _show(self) -> None:
        picture, sound = self._current()
        names, time = self._names(), self._moment(sound)
        answers = {name: self.stage.answer(name, picture, sound, time) for name in names}
        self._now, self.answers = (picture, sound), answers
        key = f"{picture.key} | {sound.key} | {names}"
        canvases = [page.canvas(answer) for answer in answers.values()]
        self.scene = {"key": key, "time": self.time, "canvases": canvases, "caption": self._title()}
        if self.clip.get("key") != sound.key:
            silent = self.sound == "silence"
            uri = "" if silent else self.shelf.whole(sound)
            self.clip = {"key": sound.key, "seconds": 0 if silent else round(sound.seconds, 2), "audio": uri}
        self.found = self.shelf.found(names, self._frame(), sound, time)
        self._ask()

    def _ask(self) -> None:
        spot = self.spot
        self.fitting = self.shelf.fitting(self._names(), self._frame(), spot) if spot else []
        self._say()

    def _say(self) -> None:
        picture, sound = self._shown()
        about = {"threshold": self.threshold, "heard": self.sound, "time": self._moment(sound)}
        self.status = page.status(self.stage, self.answers, picture, sound, about | {"spot": self.spot})

    def _film(self) -> None:
        """Send the maps of all moments of the sound, for the page to show while it plays."""
        picture, sound = self._shown()
        times, films = self.stage.film(self._names(), picture, sound)
        told = {"type": "film", "key": self.scene["key"], "times": times, "canvases": []}
        for answers in films.values():
            frames = [page.canvas(answer) for answer in answers]
            if picture.film is None:  # the picture stands still: it is there already
                frames = [{k: v for k, v in frame.items() if k != "image"} for frame in frames]
            told["canvases"].append(frames)
        self.send(told)

"""The folders of a data set from outside: what is there, and what is misspelt or missing.

Notebook: 04
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from llinet_lite.world.instruments import INSTRUMENTS

SPLIT_FOLDERS = {
    "train": ("sound", "video"),
    "test_without_seg": ("sound", "video"),
    "test": ("sound", "video", "segment"),
}
BROKEN_LINK = "broken link: what it points to is not there"
_OFFICIAL = {row.name.replace(" ", ""): row.name for row in INSTRUMENTS}


class FolderError(ValueError):
    """A data set whose folders are not as they should be; the message lists what was found."""


@dataclass(frozen=True)
class Listing:
    """One file of a data set.

    Attributes
    ----------
    file : str
        Path relative to the data set.
    split : str
        Folder: train, test_without_seg or test.
    name, label : str, int
        Its class.
    role : str
        sound, video or segment.
    claims : str
        Another class of the data set that the file's name begins with; "" usually.
    """

    file: str
    split: str
    name: str
    role: str
    label: int = -1
    claims: str = ""

    @property
    def stem(self) -> str:
        """File name without its suffix."""
        return Path(self.file).stem

    @property
    def stem_path(self) -> str:
        """Split, class and stem: the same for the picture, the sound and the mask of one clip."""
        return f"{self.split}/{self.name}/{self.stem}"


def class_name(folder: str) -> str:
    """Class name of a folder: the official one if it differs only in case, spaces or a plural s."""
    plain = " ".join(re.sub(r"[\W_]+", " ", folder.lower()).split())
    compact = plain.replace(" ", "")
    return _OFFICIAL.get(compact) or _OFFICIAL.get(compact.removesuffix("s")) or plain


def _visible(folder: Path) -> list[Path]:
    hidden = ("Thumbs.db", "desktop.ini")
    return sorted(path for path in folder.iterdir() if path.name[0] != "." and path.name not in hidden)


def _guess(name: str, found: list[str]) -> str:
    """The second half of a sentence about a missing folder: the nearest that is there, or all."""
    near = difflib.get_close_matches(name, [f.lower() for f in found], n=1, cutoff=0.6)
    if near:
        actual = next(f for f in found if f.lower() == near[0])
        return f"there is {actual!r}: rename it to {name!r}"
    return f"found instead: {', '.join(map(repr, found)) or 'nothing'}"


def walk(root: Path) -> tuple[list[Listing], list[tuple[str, bool]], list[dict]]:
    """List the files of a data set.

    Parameters
    ----------
    root : Path
        Folder with some of ``train``, ``test_without_seg``, ``test``.

    Returns
    -------
    listings : list of Listing
        In order of split, class, role and file name.
    classes : list of (str, bool)
        Name and whether it is seen, seen ones first, each part by name.
    warnings : list of dict
        ``file`` and ``reason``, what was passed over.

    Raises
    ------
    FolderError
        All that is wrong with the folders, at once.
    """
    if not root.is_dir():
        raise FolderError(f"{root}: there is no such folder")
    here = _visible(root)
    strays = [path.name for path in here if path.is_dir() and path.name not in SPLIT_FOLDERS]
    problems, warnings, listings = [], _passed_over(here, ""), []
    layout = ", ".join(SPLIT_FOLDERS)
    text = f"not opened: it is no part of the layout (the folders {layout})"
    warnings += [{"file": name, "reason": text} for name in strays]
    for split in SPLIT_FOLDERS:
        if (root / split).is_dir():
            listings += _walk_split(root, split, problems, warnings)
            continue
        hint = _guess(split, strays)
        if hint.startswith("there is"):
            problems.append(f"{root / split} is missing; {hint}")
        if (root / split).is_symlink():
            problems.append(f"{root / split} is a broken link; mend or remove it")
        warnings.append({"file": split, "reason": f"no folder: the store has nothing of {split}"})
    if not any((root / split).is_dir() for split in SPLIT_FOLDERS):
        found = ", ".join(repr(path.name) for path in here) or "nothing"
        problems.append(f"it needs a folder train, test_without_seg or test; found {found}")
    classes = _classes(listings, problems)
    if problems:
        raise FolderError(f"{root} cannot be imported:\n" + "\n".join(f"  {text}" for text in problems))
    labels = {name: k for k, (name, _) in enumerate(classes)}
    listings = [replace(item, label=labels[item.name]) for item in listings]
    return _claims(listings, labels, warnings), classes, warnings


def _passed_over(paths: list[Path], prefix: str) -> list[dict]:
    """Files, and links to nothing, where only folders belong."""
    entries = []
    for path in paths:
        if not path.exists():
            entries.append({"file": prefix + path.name, "reason": BROKEN_LINK})
        elif not path.is_dir():
            reason = "only folders belong here"
            if path.suffix.lower() in (".pickle", ".pkl"):
                reason = "a pickle can run code; the folders are walked instead"
            entries.append({"file": prefix + path.name, "reason": f"not opened: {reason}"})
    return entries


def _walk_split(root: Path, split: str, problems: list[str], warnings: list[dict]) -> list[Listing]:
    """The files of one split folder; what is wrong goes to ``problems``."""
    listings, names = [], {}
    entries = _visible(root / split)
    warnings += _passed_over(entries, f"{split}/")
    folders = [path for path in entries if path.is_dir()]
    if not folders:
        problems.append(f"{root / split} holds no class folder")
    for folder in folders:
        name = class_name(folder.name)
        if name in names:
            problems.append(f"{folder} and {names[name]} are the same class ({name}); merge them")
        names[name] = folder
        listings += _walk_class(root, split, folder, name, problems, warnings)
        extra = [path.name for path in _visible(folder) if path.name not in SPLIT_FOLDERS[split]]
        text = "not opened: it is no part of the layout"
        warnings += [{"file": f"{split}/{folder.name}/{entry}", "reason": text} for entry in extra]
    return listings


def _walk_class(
    root: Path, split: str, folder: Path, name: str, problems: list[str], warnings: list[dict]
) -> list[Listing]:
    """The files of one class folder; subfolders and links to nothing go to ``warnings``."""
    listings = []
    strays = [path.name for path in _visible(folder) if path.name not in SPLIT_FOLDERS["test"]]
    for role in SPLIT_FOLDERS[split]:
        if not (folder / role).is_dir():
            problems.append(f"{folder / role} is missing; {_guess(role, strays)}")
            continue
        entries = _visible(folder / role)
        files = [path for path in entries if path.is_file()]
        others = [path for path in entries if not path.is_file()]
        warnings += [
            {"file": path.relative_to(root).as_posix(), "reason": _no_file(path, role)} for path in others
        ]
        if not files:
            names = ", ".join(repr(path.name) for path in others)
            found = f": it holds no file, only {names}" if others else ""
            problems.append(f"{folder / role} is empty{found}")
        listings += [Listing(path.relative_to(root).as_posix(), split, name, role) for path in files]
    return listings


def _no_file(path: Path, role: str) -> str:
    """Why something among the files of a class is passed over."""
    if path.is_dir():
        return f"not opened: a subfolder; its files belong directly into {role}/"
    return "not opened: it is no regular file" if path.exists() else BROKEN_LINK


def _classes(listings: list[Listing], problems: list[str]) -> list[tuple[str, bool]]:
    """Seen classes are those of train; a class cannot be both."""
    seen = {item.name for item in listings if item.split == "train"}
    unseen = {item.name for item in listings if item.split != "train"}
    if seen & unseen:
        names = ", ".join(sorted(seen & unseen))
        problems.append(
            f"{names}: in train and in a test folder, but the test folders are for "
            "unseen classes; move these to train (a share of it is held out for testing seen classes)"
        )
    return [(name, True) for name in sorted(seen)] + [(name, False) for name in sorted(unseen - seen)]


def _claims(listings: list[Listing], labels: dict[str, int], warnings: list[dict]) -> list[Listing]:
    """Mark files whose name begins with another class; where most of a folder does, it is a way of naming."""
    marked = []
    for item in listings:
        named = class_name(re.match(r"[^0-9]*", item.stem).group())
        marked.append(replace(item, claims=named) if named in labels and named != item.name else item)
    total = Counter((item.split, item.name, item.role) for item in marked)
    odd = Counter((item.split, item.name, item.role) for item in marked if item.claims)
    usual = {key for key, count in odd.items() if 2 * count > total[key]}
    for key in sorted(usual):
        text = f"naming: {odd[key]} of {total[key]} file names begin with another class; kept"
        warnings.append({"file": "/".join(key), "reason": text})
    return [replace(i, claims="") if (i.split, i.name, i.role) in usual else i for i in marked]

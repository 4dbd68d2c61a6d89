"""Reference weights: what the `laptop` profile trained, as safetensors with a card that says how.

Notebook: 01
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from . import sources

LIMIT = 40_000_000  # bytes of all published weights together


def find(name: str, profile: str) -> Path | None:
    """Return the weights `name` if they are published and were trained under `profile`, else None.

    Raises
    ------
    ValueError
        If the weights have no card, or are not the bytes that the card names.
    """
    path = sources.WEIGHTS / f"{name}.safetensors"
    if not path.is_file() or card(path)["profile"] != profile:
        return None
    if hashlib.sha256(path.read_bytes()).hexdigest() != card(path)["sha256"]:
        raise ValueError(f"{path} is not the file that its card describes: restore both, or retrain them")
    return path


def card(path: Path) -> dict:
    """Return the card of a weights file: lesson, profile, seed, data hash, metrics, command, sha256.

    Raises
    ------
    ValueError
        If there is no card beside the file.
    """
    described = path.with_suffix(".json")
    if not described.is_file():
        raise ValueError(f"{path} has no card: {described.name} should be beside it; restore it, or retrain")
    return json.loads(described.read_text(encoding="utf-8"))


def minutes(lesson: str) -> float:
    """Return how long the published weights of a lesson took to train, one seed each; 0 if it has none."""
    cards = (card(path) for path in sources.WEIGHTS.glob("*.safetensors"))
    return sum(known.get("minutes", 0.0) for known in cards if known["lesson"] == lesson)


def write(name: str, state: dict, about: dict, facts: dict | None = None) -> Path:
    """Write weights and their card, the card last.

    Parameters
    ----------
    name : str
        Letters, digits, dots and dashes.
    state : dict of str to Tensor
        Every tensor keeps its type.
    about : dict
        The card; size, sha256 and versions are added.
    facts : dict, optional
        More entries of the card, under names of their own.

    Raises
    ------
    ValueError
        For another kind of name, a fact that is no JSON or has the name of another entry,
        or if all weights together would pass 40 MB.
    """
    import torch
    from safetensors.torch import save

    import llinet_lite

    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name):
        raise ValueError(f"{name!r} is no name for weights: use lower-case letters, digits, dots and dashes")
    content = save({key: value.detach().cpu().contiguous() for key, value in state.items()})
    path = sources.WEIGHTS / f"{name}.safetensors"
    others = sum(p.stat().st_size for p in sources.WEIGHTS.glob("*.safetensors") if p != path)
    if others + len(content) > LIMIT:
        raise ValueError(
            f"{name} has {len(content) / 1e6:.1f} MB; with the {others / 1e6:.1f} MB of the other reference "
            f"weights that is more than {LIMIT / 1e6:.0f} MB: publish a smaller network"
        )
    sources.WEIGHTS.mkdir(exist_ok=True)
    threads = torch.get_num_threads()  # on a CPU they decide the last bits
    made_by = {"llinet-lite": llinet_lite.__version__, "torch": torch.__version__, "threads": threads}
    proof = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "made_by": made_by}
    described = _card_text(about | proof, facts or {})
    _replace(path, content)
    _replace(path.with_suffix(".json"), described)
    return path


def _card_text(card: dict, facts: dict) -> bytes:
    twice = sorted(card.keys() & facts.keys())
    if twice:
        raise ValueError(f"the card has an entry {', '.join(twice)} already: give the fact another name")
    try:
        return (json.dumps(card | facts, indent=2, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"a fact of the card is no JSON ({error}): give numbers, texts, lists of them"
        ) from None


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    os.replace(temporary, path)

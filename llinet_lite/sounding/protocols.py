"""The same maps judged by every named protocol, beside controls and constants.

Notebook: 07
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from llinet_lite.metrics.localization import Localization, baselines, evaluate
from llinet_lite.sounding.located import Located
from llinet_lite.sounding.pointing import Duets

LISTENING = ("LLINet", "AVOL-Net")  # methods whose maps depend on the sound
CONTROLS = {"shuffled sound": "shuffled", "silence": "silence"}
DISC = "centre disc"
SOLO_PROTOCOLS = ("objects2018", "lvs2021", "ezvsl2022", "adaptive", "mask_ap", "max_iou")
MIXED_PROTOCOLS = ("slavc2022", "strict", "universal")  # they know pictures in which nothing sounds


def shown_in_all(located: Mapping[str, Sequence[Located]]) -> np.ndarray:
    """Return which pictures show a sounding instrument in every method's crop, (N,) bool.

    Raises
    ------
    ValueError
        If the methods were given different pictures.
    """
    lead, *_ = located
    first = located[lead][0]
    for name, seeds in located.items():
        for part, one in (("row", first), ("label", first), ("clip", first), ("objects", seeds[0])):
            if not all(np.array_equal(getattr(of, part), getattr(one, part)) for of in seeds):
                raise ValueError(
                    f"{name} was given other pictures than {lead if one is first else 'its first seed'}: "
                    "locate the same split of one store for all"
                )
    return np.all([seeds[0].masks.any((1, 2)) for seeds in located.values()], axis=0)


def short(constants: dict[str, Localization]) -> dict[str, Localization]:
    """Call the disc a disc, however its radius was chosen."""
    return {DISC if name.startswith(DISC) else name: result for name, result in constants.items()}


def all_protocols(
    solos: Mapping[str, Sequence[Located]],
    mixed: Mapping[str, Sequence[Located]] | None = None,
    duets: Mapping[str, Sequence[Duets]] | None = None,
    *,
    protocols: Collection[str] = (),
    most: int = 0,
    listening: Collection[str] = LISTENING,
) -> pd.DataFrame:
    """Judge the same maps by every other named protocol, beside controls and constants.

    Parameters
    ----------
    solos, mixed : mapping of method to sequence of Located
        One per seed; of pictures of one instrument, and of all kinds of scene.
    duets : mapping of method to sequence of Duets
    protocols : collection of str
        Of SOLO_PROTOCOLS, MIXED_PROTOCOLS and "iiou"; default: all for which there are pictures.
    most : int
        At most so many solos, evenly spread over the split; 0: all. Those of 224 pixels take 2 seconds a
        thousand pictures, a network, a sound and a protocol.
    listening : collection of str
        Methods that are tried with shuffled sounds and with silence too; a duet's shuffled sound is that of
        a third class.

    Returns
    -------
    DataFrame
        A column per protocol, its headline number, mean over seeds; "-" for rows that it has no use for.

    Raises
    ------
    ValueError
        For a protocol that is not among them, or for which there are no pictures.

    Notebook: 07
    """
    shown = np.flatnonzero(shown_in_all(solos))
    shown = shown[np.linspace(0, len(shown) - 1, most).astype(int)] if 0 < most < len(shown) else shown
    picked = {name: [one.pick(shown) for one in of] for name, of in solos.items()}
    groups = [
        (SOLO_PROTOCOLS, _tried(picked, listening)),
        (MIXED_PROTOCOLS, _tried(mixed or {}, listening)),
        (("iiou",), _tried_duets(duets or {}, listening)),
    ]
    there = [name for known, tests in groups if tests for name in known]
    if odd := [name for name in protocols if name not in there]:
        raise ValueError(f"with these pictures the protocols are {', '.join(there)}, not {', '.join(odd)}")
    columns = {}
    for known, tests in groups:
        for protocol in (name for name in known if tests and name in (protocols or there)):
            title, cells = _headlines(tests, protocol)
            columns[title] = pd.Series(cells).map("{:.1%}".format)
    rows = dict.fromkeys(name for cells in columns.values() for name in cells.index)
    return pd.DataFrame(columns).reindex(list(rows)).fillna("-")


Tests = dict[str, list[tuple[Tensor, np.ndarray, np.ndarray]]]  # row -> maps, masks, clips of every seed


def _tried(located: Mapping[str, Sequence[Located]], listening: Collection[str]) -> Tests:
    """Maps for the pictures' own sounds and, of methods that listen, for others'."""
    tests = {}
    for name, of in located.items():
        for title, sound in _sounds_for(name, listening):
            tests[title] = [(one.maps(sound, seed=seed), one.masks, one.clip) for seed, one in enumerate(of)]
    return tests


def _tried_duets(duets: Mapping[str, Sequence[Duets]], listening: Collection[str]) -> Tests:
    """Two maps of every duet, (N, 2, h, w): for the sound of either instrument, or for a wrong one twice."""
    tests = {}
    for name, of in duets.items():
        for title, sound in _sounds_for(name, listening):
            tests[title] = []
            for one in of:
                silent = one.scenes.maps("silence")
                pair = {
                    "own": (one.first, one.second),
                    "shuffled": (one.third,) * 2,
                    "silence": (silent,) * 2,
                }
                masks = np.stack([one.scenes.objects == k for k in (1, 2)], axis=1)
                tests[title].append((torch.stack(pair[sound], dim=1), masks, one.scenes.clip))
    return tests


def _sounds_for(name: str, listening: Collection[str]) -> list[tuple[str, str]]:
    controls = CONTROLS.items() if name in listening else ()
    return [(name, "own"), *((f"{name}, {title}", sound) for title, sound in controls)]


def _headlines(tests: Tests, protocol: str) -> tuple[str, dict[str, float]]:
    """Return the protocol with its headline measure, and that number for every row, mean over seeds."""
    judged = {
        name: [evaluate(maps, masks, protocol, clips=clips) for maps, masks, clips in seeds]
        for name, seeds in tests.items()
    }
    _, masks, clips = next(iter(tests.values()))[0]
    judged |= {name: [one] for name, one in short(baselines(masks, protocol, clips=clips)).items()}
    measure = next(iter(judged.values()))[0].measures[0]
    values = {name: float(np.mean([one.value for one in of])) for name, of in judged.items()}
    return f"{protocol}, {measure}", values

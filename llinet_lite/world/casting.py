"""Who is in a scene, and where: everywhere, at every size, whatever they are.

A network could find a sounding instrument without listening, were it always
in the middle. So positions are spread evenly, and nothing about them knows
the class.

Notebook: 03
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from .drawings import Pose
from .instruments import SEEN, UNSEEN, Individual, individual, instrument

KINDS = ("solo", "duet", "distractor", "offscreen", "silence")
SCALES = (0.34, 0.74)  # longest side of an instrument, canvas sides
MARGIN = 0.43  # an instrument's centre stays this share of its longest side inside the canvas
APART = 0.48  # two instruments' centres are at least this share of the sum of their longest sides apart
TURN = 0.45  # radians, greatest turn to either side


@dataclass(frozen=True)
class Member:
    """One of the cast.

    Attributes
    ----------
    name : str
        Class.
    sounding, visible : bool
    individual : Individual
        The specimen.
    pose : Pose or None
        Where it is seen; None if it is not visible.
    """

    name: str
    sounding: bool
    visible: bool
    individual: Individual
    pose: Pose | None

    @property
    def factors(self) -> dict:
        """Class, role, specimen and pose as plain numbers and strings."""
        return {
            "class": self.name,
            "sounding": self.sounding,
            "visible": self.visible,
            **{key: getattr(self.individual, key) for key in ("size", "brightness", "wear", "hue")},
            "pose": asdict(self.pose) if self.visible else None,
        }


def cast(
    name: str, kind: str, partner: str | None, stream: Callable[..., np.random.Generator]
) -> tuple[Member, ...]:
    """Cast a scene.

    Parameters
    ----------
    name : str
        Class of the first member.
    kind : str
        One of KINDS, see :class:`~llinet_lite.world.scenes.Scene`.
    partner : str or None
        Class of the second; None draws another one of the first's pool.
    stream : callable
        Opens a random stream by name (and by member).

    Raises
    ------
    ValueError
        If the kind is unknown, has no partner although one is given, or the
        partner is of the same class.
    """
    names, two = [name], kind in ("duet", "distractor", "offscreen")
    if kind not in KINDS:
        raise ValueError(f"unknown kind of scene {kind!r}; it must be one of {', '.join(KINDS)}")
    if two:
        names.append(_partner(name, partner, stream("who")))
    elif partner is not None:
        raise ValueError(f"a scene of kind {kind!r} has no partner, but {partner!r} was given")
    sounding = {"duet": (True, True), "silence": (False,)}.get(kind, (True, False))
    visible = (kind != "offscreen", True)[: len(names)]
    poses = iter(place(sum(visible), stream("where")))
    return tuple(
        Member(
            name=name,
            sounding=sounding[k],
            visible=visible[k],
            individual=individual(instrument(name), stream("specimen", k)),
            pose=next(poses) if visible[k] else None,
        )
        for k, name in enumerate(names)
    )


def place(count: int, rng: np.random.Generator) -> tuple[Pose, ...]:
    """Draw where instruments stand, how big they are seen, how they are turned.

    One alone is uniform along x and y and log-uniform in scale. Two are drawn
    anew until they are far enough apart, which makes them smaller on average.

    Parameters
    ----------
    count : int
        Number of instruments, 1 or 2.
    rng : numpy.random.Generator

    Returns
    -------
    tuple of Pose
        Centres at least MARGIN * scale inside the canvas.
    """
    while True:
        poses = []
        for _ in range(count):
            scale = SCALES[0] * (SCALES[1] / SCALES[0]) ** rng.random()
            sides, (u, v) = rng.choice((-1, 1), 2), rng.random(2)
            x, y = 0.5 + sides[0] * _offset(scale, u), 0.5 + sides[1] * _offset(scale, v)
            angle, mirrored = rng.uniform(-TURN, TURN), rng.random() < 0.5
            poses.append(Pose(float(x), float(y), float(scale), float(angle), bool(mirrored)))
        gaps = [
            np.hypot(a.x - b.x, a.y - b.y) - APART * (a.scale + b.scale)
            for i, a in enumerate(poses)
            for b in poses[:i]
        ]
        if min(gaps, default=0) >= 0:
            return tuple(poses)


def _partner(name: str, partner: str | None, rng: np.random.Generator) -> str:
    if partner is not None:
        if (other := instrument(partner).name) == name:
            raise ValueError(f"the partner of {name!r} must be of another class")
        return other
    pool = SEEN if instrument(name).seen else UNSEEN
    return str(rng.choice([row.name for row in pool if row.name != name]))


def _offset(scale: float, u: float) -> float:
    """Distance from the middle of the canvas along one axis, for uniform u in [0, 1).

    A big instrument has less room to move than a small one. Were each placed
    uniformly where it fits, the big ones would crowd the middle. Instead the
    density of the distance r, given the reach R(scale) = 1/2 - MARGIN scale,
    is A'(r) / A(R) on [0, R], with A such that over log-uniform scales r is
    uniform up to the greatest reach, R1: with P the distribution of R,
    d ln A / dr = 1 / (r - R1 P(r)).
    """
    reach = 0.5 - MARGIN * scale
    return float(np.interp(np.interp(reach, _REACH, _LOG_A) + np.log(max(u, 1e-9)), _LOG_A, _REACH))


def _reach_table() -> tuple[np.ndarray, np.ndarray]:
    """ln A over r, for :func:`_offset`."""
    widest = 0.5 - MARGIN * SCALES[0]
    r = widest * np.concatenate([np.geomspace(1e-9, 0.2, 500), 1 - np.geomspace(0.8, 1e-6, 4000)[1:]])
    scale = np.minimum((0.5 - r) / MARGIN, SCALES[1])
    share = 1 - np.log(scale / SCALES[0]) / np.log(SCALES[1] / SCALES[0])  # P(r)
    slope = 1 / (r - widest * share)
    steps = np.diff(r) * np.sqrt(slope[1:] * slope[:-1])
    return r, np.concatenate([[0.0], np.cumsum(steps)])


_REACH, _LOG_A = _reach_table()

"""What is played, and how the player moves: notes and motions computed from an instrument's attributes.

A body that rings long is struck seldom, one that decays fast is played in rhythms, a wind player breathes, a
horn without valves has only the harmonics of its tube. Nothing is decided by name.
Notebook: 00
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .instruments import Individual, Instrument

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 2, 3, 5, 7, 9, 10))
STRUCK = ("struck", "plucked")


@dataclass(frozen=True)
class Note:
    """One note: onset and duration in seconds, pitch as a MIDI number (a float), velocity 0 to 1."""

    onset: float
    duration: float
    midi: float
    velocity: float


@dataclass(frozen=True)
class Motion:
    """What moves at one moment."""

    stroke: float  # -1 to 1. Bow, bellows: place. Struck, plucked: 1 raised, -1 in contact. Blown: keys down
    energy: float  # loudness envelope, 0 to 1


def manner(row: Instrument) -> str:
    """How an instrument is played, from its attributes.

    One of "strokes" (bowls, plates), "wind" (hanging tubes), "pattern" (skins), "tremolo" (paired
    strings on a neck), "slide" (steel strings on a box), "strum" (a neck), "arpeggio" (open strings),
    "keys" (struck bars, pans and strings), "drone" (one mode of a tube), "natural" (a tube without
    valves), "chords" (bellows), "ornaments" (a bag), "legato" (all other sustained sounds).
    """
    if row.exciter == "struck":
        places = {"bowl": "strokes", "plate": "strokes", "tube bell": "wind", "membrane": "pattern"}
        return places.get(row.resonator, "keys")
    if row.exciter == "plucked":
        if row.resonator == "bar":
            return "keys"
        if row.resonator == "box and strings" and row.material == "steel":
            return "slide"
        if row.resonator in ("box and strings", "frame and strings"):
            return "arpeggio"
        return "tremolo" if paired(row) else "strum"
    if row.exciter == "lip reed" and row.parts == 1:
        return "drone" if row.resonator == "cylindrical tube" and row.length > 1 else "natural"
    if row.exciter == "free reed":
        return "chords" if row.resonator == "reed bank" and row.length > 0.2 else "legato"
    return "ornaments" if row.exciter == "bag" else "legato"


def paired(row: Instrument) -> bool:
    """True if the strings on a neck come in courses of two."""
    return row.resonator == "neck and box" and row.parts >= 8


def _ladder(row: Instrument, rng: np.random.Generator) -> np.ndarray:
    """The pitches that a phrase may use (class register, before transposition), ascending MIDI numbers."""
    tonic, scale = rng.integers(12), SCALES[rng.integers(len(SCALES))]
    place = rng.uniform()
    way = manner(row)
    if way in ("drone", "strokes"):  # one pitch per body: the middle of the register
        middle = (row.low + row.high) / 2
        return np.array([middle]) if row.parts == 1 else np.linspace(middle - 5, middle + 5, row.parts)
    if way == "pattern":
        return np.linspace(row.low + 2, row.high - 2, max(row.parts, 2))[: row.parts] + 2 * place
    if way == "natural":
        ladder = row.low - 12 + 12 * np.log2(np.arange(2, 9))
        return ladder[ladder <= row.high]
    if way == "ornaments":  # a chanter is tuned to its drones: nine notes, flat seventh
        return row.low + np.array([0.0, 2, 4, 5, 7, 9, 10, 12, 14])
    span = min(16, row.high - row.low)
    low = row.low + place * (row.high - row.low - span)
    notes = [m for m in range(int(np.ceil(low)), int(low + span) + 1) if (m - tonic) % 12 in scale]
    return np.array(notes, float)


def _walk(count: int, ladder: int, rng: np.random.Generator) -> np.ndarray:
    """A melody: ``count`` steps on a ladder of so many rungs, mostly to neighbors, never outside."""
    steps = rng.choice([-3, -2, -1, -1, 0, 1, 1, 2, 3], size=count)
    steps[0] = rng.integers(ladder)
    place, top = np.cumsum(steps), max(ladder - 1, 1)
    place = np.abs((place + top) % (2 * top) - top)  # reflected at both ends
    return np.minimum(place, ladder - 1)


def _onsets(row: Instrument, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Onsets (s) of a rhythm: the first within 0.3 s, no gap that would fall silent."""
    beat, first, way = 60 / rng.uniform(84, 140), rng.uniform(0.02, 0.3), manner(row)
    choices = {
        "strokes": (1.5, 2.0, 2.0, 3.0), "wind": (0.15, 0.3, 0.5, 0.8), "pattern": (0.25, 0.5, 0.5, 0.75),
        "arpeggio": (0.25, 0.5, 0.5, 0.5), "drone": (0.25, 0.5, 0.5, 0.75), "tremolo": (1.0, 1.0, 2.0),
        "chords": (0.5, 0.5, 1.0), "ornaments": (0.5, 0.5, 0.5, 1.0),
        "natural": (0.5, 1.0, 1.0, 2.0),
    }.get(way, (0.5, 0.5, 1.0, 1.0) if row.exciter in STRUCK else (0.5, 0.5, 1.0, 1.5))  # fmt: skip
    steps = beat * rng.choice(choices, size=int(seconds / (beat * choices[0])) + 2)
    if way == "wind":
        steps = steps * rng.uniform(0.6, 1.6, size=len(steps))
    longest = 0.9 if row.decay == 0 or row.decay > 1.5 else 0.55 + 0.2 * row.decay
    longest = 1.5 if way == "strokes" else longest
    onsets = first + np.concatenate([[0.0], np.cumsum(np.minimum(steps, longest))])
    return onsets[onsets < seconds - 0.12]


def phrase(individual: Individual, seconds: float, rng: np.random.Generator) -> tuple[Note, ...]:
    """A melody or rhythm that fits the instrument.

    Parameters
    ----------
    individual : Individual
    seconds : float
        Length of the clip, 0.5 to 60 s; else a ValueError.
    rng : numpy.random.Generator
        The same state gives the same notes, whatever the sample rate.

    Returns
    -------
    tuple of Note
        In order of onset; the first within 0.3 s of the start, and sound in every second.
    """
    if not 0.5 <= seconds <= 60.0:
        raise ValueError(f"a phrase of {seconds} s cannot be played; choose 0.5 to 60 s")
    row = individual.instrument
    ladder = _ladder(row, rng)
    onsets = _onsets(row, seconds, rng)
    midi = ladder[_walk(len(onsets), len(ladder), rng)] + individual.transposition
    velocity = rng.uniform(0.5, 0.95, size=len(onsets))
    velocity[:: rng.integers(2, 5)] += 0.05
    ends = np.append(onsets[1:], seconds)
    if row.decay == 0 and row.exciter != "bag":  # a breath, a change of bow: a gap before some notes
        ends[:-1] -= rng.choice([0.0, 0.0, 0.0, 0.08], size=len(ends) - 1)
    notes = [Note(*map(float, note)) for note in zip(onsets, ends - onsets, midi, velocity, strict=True)]
    return _DRESS.get(manner(row), lambda notes, *_: tuple(notes))(notes, ladder, individual, seconds, rng)


def _ringing(notes, ladder, individual, seconds, rng):
    """Nothing damps them: every note rings until the end."""
    return tuple(Note(n.onset, seconds - n.onset, n.midi, n.velocity) for n in notes)


def _arpeggio(notes, ladder, individual, seconds, rng):
    """Open strings ring for a second; the hand runs up or down the strings."""
    rungs, step = ladder + individual.transposition, rng.choice([-1, 1], size=len(notes))
    place = np.cumsum(step * rng.integers(1, 3, size=len(notes))) + rng.integers(len(rungs))
    place = np.abs((place + len(rungs) - 1) % (2 * len(rungs) - 2) - len(rungs) + 1)
    return tuple(
        Note(n.onset, min(1.2, seconds - n.onset), float(rungs[p]), n.velocity)
        for n, p in zip(notes, place, strict=True)
    )


def _strum(notes, ladder, individual, seconds, rng):
    """Some notes become chords of three strings, plucked 18 ms apart; the rest is melody."""
    out, chance = [], rng.uniform(0.1, 0.6)
    rungs = ladder + individual.transposition
    for note, strummed in zip(notes, rng.uniform(size=len(notes)) < chance, strict=True):
        out.append(note)
        root = int(np.argmin(np.abs(rungs - note.midi)))
        for k, above in enumerate((2, 4), start=1):
            late = 0.018 * k
            if strummed and root + above < len(rungs) and note.duration > 0.25:
                pitch = float(rungs[root + above])
                out.append(Note(note.onset + late, note.duration - late, pitch, 0.9 * note.velocity))
    return tuple(out)


def _tremolo(notes, ladder, individual, seconds, rng):
    """The plectrum goes back and forth on one course, 9 to 13 times a second."""
    out, rate, single = [], rng.uniform(9, 13), rng.uniform(size=len(notes)) < 0.3
    for note, once in zip(notes, single, strict=True):
        count = 1 if once else max(int(note.duration * rate), 1)
        for k in range(count):
            width = note.duration / count
            out.append(Note(note.onset + k * width, width, note.midi, note.velocity * (1 - 0.25 * (k % 2))))
    return tuple(out)


def _chords(notes, ladder, individual, seconds, rng):
    """A third and a fifth of the ladder are held below the melody for every second note."""
    out, rungs = list(notes), ladder + individual.transposition
    for first, second in zip(notes[::2], [*notes[1::2], None], strict=False):
        end = first.onset + first.duration if second is None else second.onset + second.duration
        root = max(int(np.argmin(np.abs(rungs - first.midi))) - 4, 0)
        for above in (0, 2):
            pitch = float(rungs[min(root + above, len(rungs) - 1)])
            out.append(Note(first.onset, end - first.onset, pitch, 0.7 * first.velocity))
    return tuple(sorted(out, key=lambda n: (n.onset, n.midi)))


def _ornaments(notes, ladder, individual, seconds, rng):
    """Grace notes of 45 ms separate the notes of a chanter, which cannot stop."""
    out, rungs = [], ladder + individual.transposition
    for note, graced in zip(notes, rng.uniform(size=len(notes)) < 0.75, strict=True):
        if graced and note.duration > 0.2:
            high = float(rungs[-2] if note.midi < rungs[-2] else rungs[3])
            out += [Note(note.onset, 0.045, high, note.velocity)]
            note = Note(note.onset + 0.045, note.duration - 0.045, note.midi, note.velocity)
        out.append(note)
    return tuple(out)


_DRESS = {
    "strokes": _ringing, "wind": _ringing, "pattern": _ringing, "arpeggio": _arpeggio, "strum": _strum,
    "tremolo": _tremolo, "chords": _chords, "ornaments": _ornaments,
}  # fmt: skip


def decay_time(row: Instrument, midi: float) -> float:
    """Time to -60 dB of a note, s: the class's own in the middle of its register, shorter above it."""
    return float(row.decay * 2.0 ** (-(midi - (row.low + row.high) / 2) / 24))


def _smooth(u: float) -> float:
    u = min(max(u, 0.0), 1.0)
    return u * u * (3 - 2 * u)


def _energy(note: Note, row: Instrument, t: float) -> float:
    """Loudness of one note at time t: it decays from its onset, or is held until its end."""
    after, left = t - note.onset, note.onset + note.duration - t
    if after < 0:
        return 0.0
    release = np.exp(min(left, 0.0) / 0.05)
    if row.decay > 0:
        return note.velocity * release * np.exp(-3.0 * after / decay_time(row, note.midi))
    return note.velocity * release * _smooth(after / 0.04)


def motion(individual: Individual, notes: tuple[Note, ...], t: float) -> Motion:
    """What moves at time t (s) when these notes are played; without notes ``Motion(1.0, 0.0)``, still.

    A mallet, hand or plectrum is in contact (-1) exactly at each onset and rises in between; a bow or bellows
    turns at each onset; the fingers of a wind player follow the pitch.
    """
    if not notes:
        return Motion(1.0, 0.0)
    row = individual.instrument
    energy = float(np.clip(max(_energy(note, row, t) for note in notes), 0.0, 1.0))
    onsets = np.unique([note.onset for note in notes])
    k = int(np.searchsorted(onsets, t, side="right")) - 1  # the last onset not after t
    if row.exciter in STRUCK:
        return Motion(_mallet(onsets, k, t), energy)
    end = max(note.onset + note.duration for note in notes)
    if row.exciter in ("bowed", "free reed", "bag"):
        return Motion(_bow(onsets, k, t, end), energy)
    return Motion(_fingers(notes, onsets, k, t), energy)


def _mallet(onsets: np.ndarray, k: int, t: float) -> float:
    """-1 at each onset; up within 0.25 s, down in the last 0.12 s."""
    up = (t - onsets[k]) / 0.25 if k >= 0 else np.inf
    down = (onsets[k + 1] - t) / 0.12 if k + 1 < len(onsets) else np.inf
    return 2.0 * _smooth(min(up, down)) - 1.0


def _bow(onsets: np.ndarray, k: int, t: float, end: float) -> float:
    """From one end of the bow to the other between onsets; still before the first and after the end."""
    if k < 0:
        return 1.0
    following = onsets[k + 1] if k + 1 < len(onsets) else max(end, onsets[k] + 0.1)
    u = _smooth((t - onsets[k]) / (following - onsets[k]))
    return float((-1) ** k * (1.0 - 2.0 * u))


def _fingers(notes: tuple[Note, ...], onsets: np.ndarray, k: int, t: float) -> float:
    """-1 on the lowest note and 1 on the highest (every other note if all are equal); moves in 60 ms."""
    pitch = {note.onset: note.midi for note in notes}
    midi = np.array([pitch[onset] for onset in onsets])
    low, high = midi.min(), midi.max()
    target = 1.0 - 2.0 * (np.arange(len(midi)) % 2)
    if high - low > 0.1:
        target = 2 * (midi - low) / (high - low) - 1
    if k < 0:
        return float(target[0])
    before = target[max(k - 1, 0)]
    return float(before + (target[k] - before) * _smooth((t - onsets[k]) / 0.06))

"""The course's figures: one style, axis units, a chance line wherever there is a score.

Every function draws on axes it is given or returns a new figure; showing it
(with alt text) is the business of :func:`llinet_lite.show.figure`.

Notebook: 00, 01, 04
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

__all__ = [
    "CHANCE",
    "PALETTE",
    "curves",
    "logmel",
    "outline",
    "scores",
    "spectrogram",
    "use_style",
    "wall",
    "waveform",
]

PALETTE = sns.color_palette("colorblind")
CHANCE = {"color": "0.35", "linestyle": "--", "linewidth": 1}


def use_style() -> None:
    """Switch matplotlib to the course's style; called on import of `llinet_lite.show`."""
    sns.set_theme(
        context="notebook",
        style="ticks",
        palette=PALETTE,
        rc={
            "axes.spines.top": False,
            "axes.spines.right": False,
            "figure.dpi": 88,
            "font.size": 10,
            "axes.titlesize": 11,
            "axes.labelsize": 10,
            "legend.frameon": False,
        },
    )


def spectrogram(ax: Axes, levels: np.ndarray, *, seconds: float, top_hz: float, title: str = "") -> None:
    """Draw a log-spectrogram, low frequencies at the bottom.

    Parameters
    ----------
    levels : (F, T) array
        Log magnitudes; the colour scale spans their 5 % and 99.5 % quantiles.
    seconds, top_hz : float
        Length of the time axis, and frequency of the last row.
    """
    _levels(ax, levels, (0, seconds, 0, top_hz / 1000))
    ax.set(xlabel="time (s)", ylabel="frequency (kHz)", title=title)


def _levels(ax: Axes, levels: np.ndarray, extent: tuple[float, float, float, float]) -> None:
    low, high = np.quantile(levels, [0.05, 0.995])
    look = {"origin": "lower", "aspect": "auto", "cmap": "magma", "vmin": low, "vmax": high}
    ax.imshow(levels, **look, extent=extent)


def logmel(ax: Axes, levels: np.ndarray, *, seconds: float, sample_rate: int, title: str = "") -> None:
    """Draw a log-mel spectrogram, one row per mel band, low bands at the bottom.

    Parameters
    ----------
    levels : (T, M) array
        As from `features.sound.LogMel`: M bands on Slaney's mel scale up to half the sample
        rate; the colour scale spans their 5 % and 99.5 % quantiles.
    seconds : float
        Length of the time axis.
    sample_rate : int
        Hz; it tells which frequencies the bands stand for.

    Raises
    ------
    ValueError
        If `levels` has not two axes.

    Notebook: 04
    """
    import librosa  # here, so that lessons without mel bands start without waiting for it

    if levels.ndim != 2:
        raise ValueError(f"logmel draws one sound, (T, M), not {levels.shape}: take one of the batch")
    bands = levels.shape[1]
    centres = librosa.mel_frequencies(bands + 2, fmin=0, fmax=sample_rate / 2)[1:-1]  # (M,) Hz
    _levels(ax, levels.T, (0, seconds, -0.5, bands - 0.5))
    marks = np.array([250, 500, 1000, 2000, 4000, 8000, 16000])
    marks = marks[(marks >= centres[0]) & (marks <= centres[-1])]
    ax.set_yticks(np.interp(marks, centres, np.arange(bands)), [str(hz) for hz in marks])
    ax.set(xlabel="time (s)", ylabel="mel band (centre in Hz)", title=title)


def waveform(ax: Axes, samples: np.ndarray, sample_rate: int, *, title: str = "") -> None:
    """Draw a waveform, (n,) float in [-1, 1] or int16."""
    x = samples / 32768 if samples.dtype == np.int16 else samples
    ax.plot(np.arange(len(x)) / sample_rate, x, linewidth=0.5)
    ax.set(xlabel="time (s)", ylabel="amplitude", title=title, xlim=(0, len(x) / sample_rate))


def wall(
    images: Sequence[np.ndarray], captions: Sequence[str], *, columns: int = 8, size: float = 1.25
) -> Figure:
    """Hang pictures, each (H, W, 3) or (H, W), on a wall of `columns`; `size` is a tile's side in inches."""
    rows = -(-len(images) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(columns * size, rows * size * 1.18), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, image, caption in zip(axes.flat, images, captions, strict=False):
        ax.imshow(image, cmap="gray")
        ax.set_title(caption, fontsize=8, pad=2)
    fig.subplots_adjust(wspace=0.06, hspace=0.25)
    return fig


def outline(ax: Axes, image: np.ndarray, mask: np.ndarray, *, title: str = "") -> None:
    """Draw an (H, W, 3) picture with the contour of an (H, W) bool mask."""
    ax.imshow(image)
    if mask.any():
        ax.contour(mask, levels=[0.5], colors=[PALETTE[1]], linewidths=1.6)
    ax.set_title(title, fontsize=9)
    ax.axis("off")


def curves(
    histories: Mapping[str, Sequence[float]],
    *,
    xlabel: str,
    ylabel: str,
    chance: float | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw one line per named series against its position (1, 2, ...), with the chance line."""
    if ax is None:
        _, ax = plt.subplots(figsize=(6, 3.2))
    markers = "osD^vPX*"
    for k, (name, values) in enumerate(histories.items()):
        ax.plot(
            np.arange(1, len(values) + 1), values, marker=markers[k % len(markers)], markersize=4, label=name
        )
    if chance is not None:
        ax.axhline(chance, **CHANCE)
        ax.plot([], [], label="chance", **CHANCE)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))  # there is no half epoch
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend(fontsize=8)
    return ax.figure


def scores(
    rows: Sequence[tuple[str, float, float, float]],
    *,
    xlabel: str,
    chance: float,
    paper: Mapping[str, float] | None = None,
) -> Figure:
    """Draw scores with their intervals, the chance line, and the paper's values as hollow diamonds.

    Parameters
    ----------
    rows : sequence of (name, value, low, high)
    paper : mapping of name to value, optional
        Drawn in the row of the same name.
    """
    fig, ax = plt.subplots(figsize=(6.4, 0.6 + 0.42 * len(rows)))
    for y, (name, value, low, high) in enumerate(rows):
        ax.plot([low, high], [y, y], color=PALETTE[0], linewidth=2)
        ax.plot(value, y, "o", color=PALETTE[0])
        if paper and name in paper:
            ax.plot(paper[name], y, "D", markerfacecolor="none", color=PALETTE[1])
    ax.axvline(chance, **CHANCE)
    ax.set_yticks(range(len(rows)), [row[0] for row in rows])
    ax.invert_yaxis()
    ax.set_xlabel(xlabel)
    ax.plot([], [], "o-", color=PALETTE[0], label="measured, with interval")
    if paper:
        ax.plot([], [], "D", markerfacecolor="none", color=PALETTE[1], label="paper")
    ax.plot([], [], label="chance", **CHANCE)
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    return fig

"""Clips of one's own through a network: what it is shown of each, maps and matches; photos are refused."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from llinet_lite.experiments import maps

SIDE = 32
NETWORK = SimpleNamespace(
    side=SIDE,
    scale="maximum",
    see=lambda image: (image.float().mean(3)[:, None, ::8, ::8], None),  # cells (N, 1, 4, 4)
    hear=lambda audio: (audio.float().abs().mean(1, keepdim=True), audio.float()[:, :1]),
    heat=lambda cells, key: cells[:, 0] + 100 * torch.eye(4)[key[:, 0].long() % 4][:, None],  # a column each
    match=lambda seen, heard: seen[0].mean((1, 2, 3))[:, None] - heard[1].T,
)


@pytest.fixture
def clips(tiny_store, monkeypatch):
    monkeypatch.setattr(maps, "_asked", lambda run, store: NETWORK)
    return maps.clips(None, tiny_store)


def test_every_clip_is_shown_once_with_the_second_around_its_image(clips, tiny_store):
    tables = [(tiny_store.images(split), tiny_store.sounds(split)) for split in tiny_store.splits]
    assert clips.file == tuple(name for _, sounds in tables for name in sounds.id)
    assert clips.label.tolist() == [k for _, sounds in tables for k in sounds.label]
    at = 0
    for images, sounds in tables:
        for clip in range(len(sounds)):
            row = np.flatnonzero(images.clip == clip)[images.time[images.clip == clip].argmin()]
            start = round(float(images.time[row]) * 16000) - 8000
            first, last = max(start, 0), min(start + 16000, 32000)  # outside the clip there is silence
            heard = sounds.audio(clip, start=first, length=last - first)
            np.testing.assert_array_equal(clips.audio[at][first - start : last - start], heard)
            np.testing.assert_array_equal(clips.image[at], images.image(int(row))[4:36, 4:36])
            assert clips.time[at] == images.time[row]
            at += 1
    assert at == len(clips.image)


def test_matches_and_maps_are_the_networks(clips):
    cells, (key, first) = clips.seen[0], clips.heard
    np.testing.assert_allclose(clips.match(), cells.mean((1, 2, 3))[:, None] - first.T, rtol=1e-6)
    for shift in (0, 3):
        heat = NETWORK.heat(cells, torch.cat([key[-shift:], key[:-shift]]) if shift else key)
        expected = heat / heat.amax((1, 2), keepdim=True)
        torch.testing.assert_close(clips.maps(shift), expected)


def test_photos_are_refused_with_what_to_do(tiny_photos, monkeypatch):
    monkeypatch.setattr(maps, "_asked", lambda run, store: NETWORK)
    with pytest.raises(ValueError, match=r"by class only: use runs\.embed"):
        maps.clips(None, tiny_photos)

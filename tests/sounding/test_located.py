"""Pictures with the sounds that they are tried with: which sound makes which map."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sounding_fakes import seeing, squares

from llinet_lite.sounding import SOUNDING, other_class


@pytest.fixture
def located():
    """200 pictures, more than are made at once, of random cells and sounds."""
    rng = np.random.default_rng(0)
    cells = torch.from_numpy(rng.random((200, 3, 4, 5)).astype(np.float32))
    sound = torch.from_numpy(rng.random((200, 3)).astype(np.float32))
    located = seeing(squares(200), np.arange(200) % 7)
    return dataclasses.replace(located, cells=cells, sound=sound, silence=torch.tensor([1.0, 0.0, 2.0]))


def by_loop(cells: torch.Tensor, sound: torch.Tensor) -> np.ndarray:
    """The map in float64, picture by picture."""
    pairs = zip(cells.double().numpy(), sound.double().numpy(), strict=True)
    return np.stack([sum(c * s for c, s in zip(cell, heard, strict=True)) for cell, heard in pairs])


def test_every_map_is_made_of_its_own_cells_and_sound(located):
    assert np.allclose(located.maps(), by_loop(located.cells, located.sound), atol=1e-6)
    silent = by_loop(located.cells, located.silence.expand(200, 3))
    assert np.allclose(located.maps("silence"), silent, atol=1e-6)
    other = located.sound.flip(0)
    assert np.allclose(located.maps(other), by_loop(located.cells, other), atol=1e-6)
    with pytest.raises(KeyError):
        located.maps("noise")


def test_shuffled_sounds_are_those_of_another_class(located):
    order = other_class(located.label, 3)
    assert (located.label[order] != located.label).all()
    expected = by_loop(located.cells, located.sound[order])
    assert np.allclose(located.maps("shuffled", seed=3), expected, atol=1e-6)
    assert not torch.equal(located.maps("shuffled", seed=3), located.maps("shuffled", seed=4))


def test_what_is_picked_keeps_its_own(located):
    which = located.label == 2
    some = located.pick(which)
    assert torch.equal(some.maps(), located.maps()[which]) and torch.equal(some.silence, located.silence)
    assert np.array_equal(some.masks, located.masks[which]) and set(some.label) == {2}
    assert np.array_equal(some.row, located.row[which]) and some.title == "Dot"


@pytest.mark.parametrize("kind", SOUNDING)
def test_masks_show_what_is_heard(kind):
    located = seeing(squares(5), np.arange(5), kind)
    assert np.array_equal(located.masks, np.isin(located.objects, SOUNDING[kind]))

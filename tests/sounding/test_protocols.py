"""Every named protocol over several methods and seeds, against the evaluator and overlaps counted by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from sounding_fakes import seeing, squares

from llinet_lite import sounding
from llinet_lite.metrics.localization import baselines, evaluate
from llinet_lite.sounding.protocols import MIXED_PROTOCOLS, SOLO_PROTOCOLS, shown_in_all

KINDS = ("duet", "distractor", "offscreen", "silence")


def noisy(seed: int, count: int = 24, kind: str = "solo"):
    """Pictures with random cells, near their instruments in part."""
    located = seeing(squares(count), np.arange(count) % 4, kind)
    noise = np.random.default_rng(seed).random(tuple(located.cells.shape)).astype(np.float32)
    sound = torch.rand(count, 3, generator=torch.Generator().manual_seed(seed))
    return dataclasses.replace(located, cells=located.cells + torch.from_numpy(noise), sound=sound)


def scenes(seed: int):
    return dataclasses.replace(noisy(seed, 8), kind=np.array(KINDS).repeat(2))


def test_cells_are_the_means_over_seeds_of_what_the_evaluator_says():
    solos = {"LLINet": [noisy(0), noisy(1)], "Baseline": [noisy(2), noisy(3)]}
    protocols = ("objects2018", "adaptive", "mask_ap")
    frame = sounding.all_protocols(solos, protocols=protocols)
    assert list(frame.columns) == ["objects2018, pointing", "adaptive, cIoU", "mask_ap, mAP"]
    assert list(frame.index[:4]) == ["LLINet", "LLINet, shuffled sound", "LLINet, silence", "Baseline"]
    assert "Baseline, silence" not in frame.index, "whose maps know no sound"
    for column, protocol in zip(frame.columns, protocols, strict=True):
        for name, sound in (("LLINet", "own"), ("LLINet, shuffled sound", "shuffled"), ("Baseline", "own")):
            of = solos[name.split(", ")[0]]
            each = [evaluate(o.maps(sound, seed=s), o.masks, protocol).value for s, o in enumerate(of)]
            assert frame.loc[name, column] == f"{np.mean(each):.1%}"
        expected = baselines(of[0].masks, protocol)["mean mask"].value
        assert frame.loc["mean mask", column] == f"{expected:.1%}"
    assert frame.loc["image centre", "adaptive, cIoU"] == "-"
    assert frame.loc["oracle ceiling", "adaptive, cIoU"] == "100.0%"


def test_each_kind_of_picture_has_its_protocols():
    solos, mixed = {"AVOL-Net": [noisy(0, 8)]}, {"AVOL-Net": [scenes(1)]}
    of = scenes(1)
    frame = sounding.all_protocols(solos, mixed)
    named = [title.split(", ")[0] for title in frame.columns]
    assert named == [*SOLO_PROTOCOLS, *MIXED_PROTOCOLS]
    expected = evaluate(of.maps("silence"), of.masks, "strict").value
    assert frame.loc["AVOL-Net, silence", "strict, AP"] == f"{expected:.1%}"
    assert frame.loc["centre disc", "universal, F-LOC"] != "-"


def test_in_a_duet_both_instruments_must_be_found():
    objects = squares(24)
    one, two = (torch.from_numpy(objects == k).float() for k in (1, 2))
    scenes = seeing(objects, np.zeros(24, int), "duet")
    right = sounding.Duets(scenes, one, two, torch.zeros_like(one), np.ones(24, int))
    stays = dataclasses.replace(right, second=one, third=one)
    duets = {"LLINet": [right, stays], "Baseline": [stays, stays]}
    solos = {"LLINet": [noisy(0)] * 2}
    cells = sounding.all_protocols(solos, duets=duets, protocols=["iiou"])["iiou, IIoU"]
    assert cells["LLINet"] == "50.0%", "one seed finds both everywhere, the other one of each"
    assert cells["Baseline"] == cells["LLINet, shuffled sound"] == cells["LLINet, silence"] == "0.0%"
    assert cells["ground-truth mask as map"] == "100.0%"
    assert cells["oracle ceiling"] == "0.0%", "half of the picture is predicted where there are no ties"


def test_a_protocol_without_its_pictures_is_refused():
    solos = {"LLINet": [noisy(0)]}
    with pytest.raises(ValueError, match="not strict, iiou"):
        sounding.all_protocols(solos, protocols=["strict", "iiou"])


def test_only_pictures_that_every_crop_shows_take_part():
    wide, narrow = noisy(0), noisy(1)
    objects = narrow.objects.copy()
    objects[[2, 5]] = 0
    narrow = dataclasses.replace(narrow, objects=objects)
    shown = shown_in_all({"LLINet": [wide], "AVOL-Net": [narrow]})
    assert np.flatnonzero(~shown).tolist() == [2, 5]
    frame = sounding.all_protocols({"LLINet": [wide], "AVOL-Net": [narrow]}, protocols=["adaptive"])
    some = wide.pick(shown)
    expected = evaluate(some.maps(), some.masks, "adaptive").value
    assert frame.loc["LLINet", "adaptive, cIoU"] == f"{expected:.1%}"


def test_some_solos_stand_for_all():
    one = noisy(0)
    frame = sounding.all_protocols({"Baseline": [one]}, protocols=["max_iou"], most=6)
    some = one.pick([0, 4, 9, 13, 18, 23])
    expected = evaluate(some.maps(), some.masks, "max_iou").value
    assert frame.loc["Baseline", "max_iou, max-IoU"] == f"{expected:.1%}"


def test_methods_of_different_pictures_are_not_compared():
    with pytest.raises(ValueError, match="AVOL-Net was given other pictures than LLINet"):
        shown_in_all({"LLINet": [noisy(0)], "AVOL-Net": [noisy(0, count=20)]})
    moved = dataclasses.replace(noisy(0), row=np.arange(24)[::-1])
    with pytest.raises(ValueError, match="other pictures"):
        shown_in_all({"LLINet": [noisy(0), moved]})

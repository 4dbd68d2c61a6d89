"""Localization: maps against the networks themselves, tests and tables against loops."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
import torch
from torch.nn.functional import cosine_similarity

from llinet_lite.experiments import maps, runs
from llinet_lite.features import LogMel, to_image, to_waveform
from llinet_lite.metrics.intervals import clip_bootstrap
from llinet_lite.metrics.localization import hits
from llinet_lite.profiles import PROFILES
from llinet_lite.show.explorer import Localizer, Stage
from llinet_lite.world.instruments import instrument

SIZES = {"image_size": 40, "image_crop": 32, "width": 8, "embedding": 16, "classes": 0}
SIZES |= {"keep_activations": False}
DIRECT = dataclasses.replace(PROFILES["smoke"], **SIZES)
RATE, SIDE = DIRECT.sample_rate, 16
PLANS = runs.plans(DIRECT)
WORKSPACE = SimpleNamespace(profile=SimpleNamespace(name="laptop"), data_hash="abc")


@pytest.fixture(scope="module")
def fresh(trunk):
    """Maker of runs that were never trained."""

    def make(name, profile=DIRECT):
        plan = PLANS[name]
        method = runs.build(plan, profile, 0, trunk=trunk, classes=20).eval()
        inputs = runs.inputs_of(plan, profile, method, trunk)
        return runs.Run(plan, profile, 0, method, inputs, [], 0, 1.5, False, trunk)

    return make


def image_of(store, split: str, k: int) -> torch.Tensor:
    """Center crop as a network sees it, (1, 3, 32, 32)."""
    return to_image(torch.from_numpy(store.images(split).image(k)[4:36, 4:36].copy())[None])


def whole(store, split: str, row: int) -> torch.Tensor:
    table = store.sounds(split)
    return torch.from_numpy(np.array(table.audio(row, 0, int(table.length[row]))))[None]


# ---- maps of networks


@torch.no_grad()
def test_llinet_hears_the_whole_sound_of_the_clip(fresh, tiny_store):
    run = fresh("llinet")
    of, images = maps.locate(run, tiny_store, "unseen"), tiny_store.images("unseen")
    other = maps.other_class(of.label, 0)
    tried = {"own": of.clip, "shuffled": of.clip[other], "silence": None}
    assert (of.label[other] != of.label).all()
    for sound, clips in tried.items():
        found = of.maps(sound)
        for k in (0, 5, len(images) - 1):
            audio = torch.zeros(1, 2 * RATE, dtype=torch.int16)
            audio = audio if clips is None else whole(tiny_store, "unseen", int(clips[k]))
            heard = LogMel(RATE)(to_waveform(audio))
            expected = run.network.localize(image_of(tiny_store, "unseen", k), heard)
            assert torch.allclose(found[k], expected[0], rtol=1e-4, atol=1e-5)
    assert np.array_equal(of.objects[3], images.objects(3)[4:36, 4:36]) and set(of.kind) == {"solo"}
    some = of.pick(of.label == of.label[0])
    assert torch.equal(some.maps(), of.maps()[of.label == of.label[0]])


@torch.no_grad()
def test_avolnet_hears_the_second_around_the_image(fresh, tiny_store):
    run = fresh("avolnet-all")
    images, sounds = tiny_store.images("test"), tiny_store.sounds("test")
    of = maps.locate(run, tiny_store, "test")
    for k in (0, 7):
        start = round(float(images.time[k]) * RATE) - RATE // 2
        audio = torch.from_numpy(np.array(sounds.audio(int(images.clip[k]), start, RATE)))[None]
        found = run.network(image_of(tiny_store, "test", k), run.inputs.audio({"audio": audio}))[1]
        assert torch.allclose(of.maps()[k], found[0], atol=1e-5)
    assert of.scale == "probability" and of.listens


@torch.no_grad()
def test_maps_without_the_attention_loss(fresh, tiny_store, trunk):
    kinds = {name: maps.usual_map(fresh(name)) for name in ("llinet", "matching", "baseline", "avolnet-all")}
    assert list(kinds.values()) == ["transformed", "gate", "mean", "sigmoid of a product"]
    mean = maps.locate(fresh("baseline"), tiny_store, "unseen")
    late = trunk.late(trunk.early(image_of(tiny_store, "unseen", 4)))[0]
    assert torch.allclose(mean.maps()[4], late.mean(0), atol=1e-5) and not mean.listens
    assert torch.equal(mean.maps(), mean.maps("shuffled"))
    run = fresh("matching")
    local = run.network.embed_image(image_of(tiny_store, "unseen", 2))[1][0].double().numpy()
    gate = [np.exp(c - c.max()) / np.exp(c - c.max()).sum() for c in local]
    assert np.allclose(maps.locate(run, tiny_store, "unseen").maps()[2], np.mean(gate, axis=0), atol=1e-6)
    kept = fresh("llinet", dataclasses.replace(DIRECT, keep_activations=True))
    direct = maps.locate(fresh("llinet"), tiny_store, "unseen")
    assert torch.allclose(maps.locate(kept, tiny_store, "unseen").cells, direct.cells, rtol=5e-2, atol=5e-2)


def test_photos_are_tried_with_a_sound_of_their_class(fresh, tiny_photos):
    for name in ("llinet", "avolnet-all"):
        of = maps.locate(fresh(name), tiny_photos, "test")
        network = maps._asked(fresh(name), tiny_photos)
        with torch.no_grad():
            every = maps._keys(network, maps._sounds(network, tiny_photos, "test"))
        labels = tiny_photos.sounds("test").label
        for label, sound in zip(of.label, of.sound, strict=True):
            assert (every[labels == label] - sound).abs().amax(1).min() < 1e-4
        assert np.array_equal(of.clip, np.arange(len(of.label)))


def test_thresholds_are_chosen_on_classes_of_no_training_and_one_vector_makes_no_map(fresh, tiny_store):
    (of,) = maps.held_out_maps({"LLINet": [fresh("llinet")]}, tiny_store)["LLINet"]
    assert set(of.label) <= set(runs.held_out(tiny_store, 0)) and len(of.label)
    with pytest.raises(ValueError, match="CMPM has one vector"):
        maps.locate(fresh("cmpm"), tiny_store, "unseen")


@torch.no_grad()
@pytest.mark.parametrize("name", ["llinet", "matching", "avolnet-all"])
def test_the_explorer_shows_the_same_maps(fresh, tiny_store, name):
    run = fresh(name)
    of = maps.locate(run, tiny_store, "unseen")
    stage = Stage({"net": Localizer(**maps.localizer(run, tiny_store))}, tiny_store, "unseen", most=0)
    asked = stage.localizers["net"]
    pixels = np.stack([tiny_store.images("unseen").image(int(k))[4:36, 4:36] for k in of.row[:4]])
    seen = asked.embed_image(pixels)
    assert torch.allclose(seen.cells, of.cells[:4], rtol=1e-4, atol=1e-4)
    length = RATE if name == "avolnet-all" else 2 * RATE
    heard = asked.embed_audio(np.zeros((1, length), np.int16))
    silent = asked.heat(seen.cells, heard.key.expand(4, -1))
    assert torch.allclose(silent, of.maps("silence")[:4], rtol=1e-4, atol=1e-4)
    assert asked.match(seen, heard).shape == (4, 1)
    if name == "llinet":
        cell = seen.cells[0, :, 1, 2]
        assert torch.allclose(asked.fit(cell, heard), cosine_similarity(cell[None], heard.key))
    elif name == "avolnet-all":
        assert torch.allclose(asked.fit(seen.cells[0, :, 1, 1], heard), silent[:1, 1, 1])
        assert torch.allclose(asked.match(seen, heard)[:, 0], silent.amax((1, 2)), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", ["llinet", "avolnet-all"])
def test_duets_are_tried_with_both_classes_and_a_third(fresh, tiny_store, name):
    run = fresh(name)
    tried = maps.duets(run, tiny_store, "scenes_unseen", "unseen")
    scenes, network = tried.scenes, maps._asked(run, tiny_store)
    assert len(scenes.row) and set(scenes.kind) == {"duet"}
    facts = [tiny_store.images("scenes_unseen").factors(int(row)) for row in scenes.row]
    assert [instrument(fact["partner"]).label for fact in facts] == tried.partner.tolist()
    labels = tiny_store.sounds("unseen").label
    keys = maps._keys(network, maps._sounds(network, tiny_store, "unseen"))
    for k, (one, two) in enumerate(zip(scenes.label, tried.partner, strict=True)):
        wanted = {"first": labels == one, "second": labels == two, "third": (labels != one) & (labels != two)}
        for part, which in wanted.items():
            options = network.heat(scenes.cells[[k]].expand(which.sum(), -1, -1, -1), keys[which])
            assert (options - getattr(tried, part)[k]).abs().amax((1, 2)).min() < 1e-4
    rows = maps.duet_rows(tried, tiny_store, "scenes_unseen")
    assert len(rows) == min(4, len(scenes.row)) and rows[0][2].shape[0] == 4
    assert all(0 <= row[2].min() <= row[2].max() <= 1 for row in rows)


# ---- maps that are known by heart


def squares(count: int, seed: int = 0, size: int = SIDE) -> np.ndarray:
    """Images with object 1 on the left and object 2 on the right, (count, size, size) uint8."""
    rng, objects = np.random.default_rng(seed), np.zeros((count, size, size), np.uint8)
    for image in objects:
        for k in (1, 2):
            top, left = rng.integers(0, size - 5), rng.integers(0, size // 2 - 4) + (k - 1) * size // 2
            image[top : top + 4, left : left + 4] = k
    return objects


def seeing(objects, label, kind="solo", clip=None, noise=None) -> maps.LocalizationMaps:
    """Images whose cells are their pixels: channel k is 1 on object k + 1, and the own sound asks for 0."""
    cells = torch.stack([torch.from_numpy(objects == k + 1).float() for k in range(3)], dim=1)
    rows, sound = np.arange(len(objects)), torch.eye(3)[:1].repeat(len(objects), 1)
    if noise is not None:
        cells = cells + torch.rand(cells.shape, generator=torch.Generator().manual_seed(noise))
        sound = torch.rand(sound.shape, generator=torch.Generator().manual_seed(noise))
    clip, kinds = rows if clip is None else np.asarray(clip), np.full(len(objects), kind)
    known = maps.HEATS["transformed"], "probability", cells, sound, torch.zeros(3), objects
    return maps.LocalizationMaps(*known, np.asarray(label), rows, clip, kinds)


def test_boxes_and_hits_are_those_of_loops():
    masks, found = squares(40) == 1, np.random.default_rng(0).random((40, 5, 4))
    masks[3] = False
    boxes, right = maps.boxed(masks), hits(torch.from_numpy(found), masks)
    for mask, box, heat, hit in zip(masks, boxes, found, right, strict=True):
        rows, columns = np.nonzero(mask)
        area = np.zeros_like(mask)
        if len(rows):
            area[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
        assert np.array_equal(box, area)
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        assert hit == mask[int((row + 0.5) * SIDE / 5), int((column + 0.5) * SIDE / 4)]


def by_hand(objects, first: int, second: int, third: int, clip=None) -> maps.Duets:
    """Duets whose maps light up the given object for each sound; 3 is nowhere."""
    scenes = seeing(objects, np.zeros(len(objects), int), "duet", clip)
    lit = [torch.from_numpy(objects == k).float() for k in (first, second, third)]
    return maps.Duets(scenes, *lit, scenes.label + 1)


def test_heat_that_follows_the_sound_moves():
    objects = squares(24)
    objects[:, 0, 0] = 0  # a map of zeros points at the first cell
    moves = by_hand(objects, 1, 2, 3, clip=np.arange(24) // 2)
    table = maps.follows({"A": [moves], "B": [by_hand(objects, 1, 1, 1), by_hand(objects, 2, 2, 1)]})
    values = [[table.interval(row, column).value for column in table.columns] for row in "AB"]
    lit = pytest.approx((objects == 1).mean())
    assert values == [[1, 1, 1, 1, 0, lit, 0, 0], [0.5, 0.5, 0.5, 0, 1, lit, 0, 0]]
    assert table.interval("A", "moves").n == 12, "scenes are counted"
    assert maps.nearer(moves.first, objects == 1, objects == 2).all()
    assert [row.name for row in maps.duet_results(table, WORKSPACE)][3] == "A: duets: moves"
    loud = dataclasses.replace(moves.scenes, scale="maximum", cells=1000 * moves.scenes.cells)
    only = maps.follows({"A": [dataclasses.replace(moves, scenes=loud)]})
    assert [c for c in only.columns if c.startswith("mean")] == ["mean map, silence / own sound"]
    assert maps.duet_results(only, WORKSPACE)[3].name == "duets: moves"


def test_the_ratio_of_mean_maps_is_that_of_scipy():
    scenes = by_hand(squares(200), 1, 2, 3).scenes
    scale = torch.rand(200, 1, 1, 1, generator=torch.Generator().manual_seed(0)) + 0.5
    scenes = dataclasses.replace(scenes, cells=scenes.cells * scale, silence=torch.tensor([0.3, 0.2, 0.0]))
    tried = dataclasses.replace(by_hand(squares(200), 1, 2, 3), scenes=scenes)
    found = maps.follows({"A": [tried]}).interval("A", "mean map, silence / own sound")
    own, silent = (scenes.maps(sound).mean((1, 2)).numpy() for sound in ("own", "silence"))
    how = {"paired": True, "method": "percentile", "rng": 1}
    oracle = scipy.stats.bootstrap((silent, own), lambda a, b, axis: a.mean(axis) / b.mean(axis), **how)
    assert (found.low, found.high) == pytest.approx(oracle.confidence_interval, abs=0.01)


# ---- LLINet's table


def overlaps(found, masks, k: int) -> np.ndarray:
    """IoU of every image, counted pixel by pixel."""
    ious = []
    for heat, mask in zip(np.asarray(found, np.float32), masks, strict=True):
        cut = heat > np.float32(k / 10) * heat.max()
        ious.append((cut & mask).sum() / ((cut | mask).sum() + 1e-5))
    return np.array(ious)


def auc51(iou) -> float:
    return float(np.mean([[one >= t / 50 for t in range(51)] for one in iou]))


def best_k(of) -> int:
    scores = {k: auc51(overlaps(of.maps(), of.masks, k)) for k in range(2, 7)}
    return max(scores, key=lambda k: (scores[k], -k))


@pytest.fixture(scope="module")
def solos():
    label, clip = np.arange(30) % 5, np.arange(30) // 2
    return {"LLINet": [seeing(squares(30), label, clip=clip, noise=n) for n in (3, 4)]}


@pytest.fixture(scope="module")
def held():
    return {"LLINet": [seeing(squares(20, n), np.arange(20) % 5, noise=n) for n in (13, 14)]}


def test_the_table_is_that_of_loops(solos, held):
    trained = {"LLINet": [SimpleNamespace(seed=seed, minutes=2.5) for seed in (0, 1)]}
    table = maps.localize(solos, held, trained)
    for seed, (of, part) in enumerate(zip(solos["LLINet"], held["LLINet"], strict=True)):
        wrong = torch.einsum("bchw,bc->bhw", of.cells, of.sound[maps.other_class(of.label, seed)])
        assert table.k["LLINet"][seed] == best_k(part)
        for column, k in (("mIoU", best_k(part)), ("mIoU as released", best_k(of))):  # masks shrink alike
            assert table.values["LLINet"][column][seed] == pytest.approx(overlaps(of.maps(), of.masks, k))
            found = table.values["LLINet, shuffled sound"][column][seed]
            assert found == pytest.approx(overlaps(wrong, of.masks, k))
        area = table.values["LLINet"]["AUC51"][seed].mean()
        assert area == pytest.approx(auc51(overlaps(of.maps(), of.masks, best_k(part))))
    masks = solos["LLINet"][0].masks
    assert table.values["whole image"]["mIoU"][0] == pytest.approx(masks.mean((1, 2)), abs=1e-6)
    constants = ["oracle ceiling", "mask on 16 x 16 cells", "centre disc", "mean mask", "whole image"]
    assert list(table.values) == ["LLINet", *table.gaps(), *constants]
    gap = table.gaps()["LLINet, silence"]
    both = [table.values[row]["mIoU"] for row in ("LLINet", "LLINet, silence")]
    assert gap == clip_bootstrap(both[0] - both[1], np.arange(30) // 2, limits=(-1, 1))
    results = {row.name: row for row in table.results(WORKSPACE)}
    released = results["AUC51 as released, LLINet"]
    assert (released.paper, released.seeds, released.minutes, released.n) == (0.371, (0, 1), 5.0, 30)
    assert results["mIoU, LLINet"].paper is None and results["mIoU, LLINet minus silence"].chance == 0
    assert table.frame().loc["LLINet", "k"] == " ".join(map(str, table.k["LLINet"]))
    assert maps.localize(solos).k["LLINet"] == (5, 5), "half of the maximum without validation"


def test_only_images_that_every_crop_shows_take_part(solos, held):
    blind = solos["LLINet"][0].objects.copy()
    blind[[0, 7]] = 0
    other = {"AVOL-Net": [dataclasses.replace(of, objects=blind) for of in solos["LLINet"]]}
    table = maps.localize(solos | other, held | {"AVOL-Net": held["LLINet"]})
    assert table.values["LLINet"]["mIoU"].shape == table.values["AVOL-Net"]["mIoU"].shape == (2, 28)
    assert np.array_equal(table.clips, np.delete(np.arange(30) // 2, [0, 7]))
    with pytest.raises(ValueError, match="AVOL-Net was given other images"):
        maps.localize(solos | {"AVOL-Net": [solos["LLINet"][0].pick(np.arange(20))]})

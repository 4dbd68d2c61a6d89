"""The correspondence task: what is sensed, which pairs are judged, how answers are counted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from avc_fakes import SETTINGS, fresh
from torch import nn

from llinet_lite import avc
from llinet_lite.avc.plans import LONGEST
from llinet_lite.checkpoint import rounded
from llinet_lite.data.batches import PairBatches
from llinet_lite.metrics.intervals import Interval
from llinet_lite.models import AVENetMF, AVENetOF, AVOLNet
from llinet_lite.world.room import imprint

NETWORKS = ("l3net", "avenet", "avolnet")


@pytest.fixture(scope="module")
def pairs(store):
    return avc.pair_list(store, "test", SETTINGS, match="clip")


class Oracle(nn.Module):
    """Says "match" with a given probability per pair, in the order of the list."""

    def __init__(self, probability):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))
        self.left = list(np.clip(probability, 1e-6, 1 - 1e-6))

    def embed_image(self, image):
        return image

    def embed_audio(self, sound):
        return sound

    def pairs(self, image, sound):
        p = torch.tensor([self.left.pop(0) for _ in image], dtype=torch.float64)
        return torch.stack([torch.log(1 - p), torch.log(p)], 1)


def test_senses_give_the_tensors_of_the_profile(pairs):
    image, sound = avc.Senses(SETTINGS)(pairs[0])
    assert image.shape[1:] == (3, 32, 32)
    assert image.min() >= 0 and image.max() <= 1
    assert sound.shape[1:] == (1, SETTINGS.bins, SETTINGS.frames)


@pytest.mark.parametrize(("blind", "kept"), [("image", 1), ("sound", 0)])
def test_a_blind_sense_is_constant_and_the_other_is_untouched(pairs, blind, kept):
    batch = pairs[0]
    both, one = avc.Senses(SETTINGS)(batch), avc.Senses(SETTINGS, blind=blind)(batch)
    assert torch.equal(one[kept], both[kept])
    assert one[1 - kept].std() < 1e-6


def test_an_unknown_sense_is_refused():
    with pytest.raises(ValueError, match="blind"):
        avc.Senses(SETTINGS, blind="nose")


def test_the_list_is_balanced_and_on_the_frame_grid(pairs):
    rows = pairs.rows
    assert rows.match.mean() == 0.5
    frame = round(0.04 * 16000)
    assert not ((rows.start + 8000) % frame).any()  # the middle of the second lies on a frame
    assert not (rows.sound == pairs.source.images.clip[rows.image])[rows.match == 0].any()


def test_naive_mismatched_sounds_leave_the_grid(store):
    rows = avc.pair_list(store, "test", SETTINGS, match="clip", grid=None).rows
    off = (rows.start + 8000) % round(0.04 * 16000) != 0
    assert not off[rows.match == 1].any() and off[rows.match == 0].mean() > 0.9


def test_the_imprint_is_added_at_the_phase_of_the_clip(store):
    clean = avc.pair_list(store, "test", SETTINGS, match="clip", grid=None)
    traced = avc.pair_list(store, "test", SETTINGS, match="clip", grid=None, imprint=2.0)
    start = clean.rows.start
    trace = imprint(2.0, 16000, 2.0) * 32768
    difference = traced[0]["audio"].numpy().astype(float) - clean[0]["audio"].numpy()
    for k in range(8):
        expected = trace[start[k] : start[k] + 16000]
        assert np.abs(difference[k] - expected).max() <= 0.51  # rounded to integers
    assert np.abs(difference).max() > 300


def test_a_right_oracle_scores_one_and_a_wrong_one_zero(pairs):
    match = pairs.rows.match
    for said, accuracy in ((match, 1.0), (1 - match, 0.0)):
        score = avc.score(Oracle(said.astype(float)), avc.Senses(SETTINGS), pairs)
        assert score.interval.value == accuracy and score.interval.n == len(match)
        assert np.array_equal(score.probability > 0.5, said == 1)


def test_the_surest_pairs_are_sorted_into_their_kinds(pairs):
    probability = np.random.default_rng(0).uniform(size=len(pairs.rows.match))
    score = avc.score(Oracle(probability), avc.Senses(SETTINGS), pairs)
    for kind, ks in score.most_sure(3).items():
        right, said = kind.split()
        for k in ks:
            assert (probability[k] > 0.5) == (said == "match")
            assert ((probability[k] > 0.5) == (score.match[k] == 1)) == (right == "right")
        sure = [abs(probability[k] - 0.5) for k in ks]
        assert sure == sorted(sure, reverse=True)


def test_a_pair_is_looked_up_where_it_stands(pairs):
    for k in (0, 1, len(pairs.rows.match) - 1):
        pair, names = avc.look_up(pairs, k), [c["name"] for c in pairs.source.store.classes]
        assert pair.picture == names[pairs.rows.label[k]]
        assert pair.match == bool(pairs.rows.match[k])
        if pair.match:
            assert pair.sound == pair.picture
        batch = pairs[k // pairs.batch_size]
        assert np.array_equal(pair.audio, batch["audio"][k % pairs.batch_size].numpy())


class Same(nn.Module):
    """Says one half for every pair."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))

    def embed_image(self, image):
        return torch.zeros(len(image), 1)

    def embed_audio(self, sound):
        return sound.flatten(1).sum(1, keepdim=True)

    def all_pairs(self, seen, heard):
        return torch.zeros(len(seen), len(heard), 2)


def test_the_class_matrix_has_a_row_and_a_column_per_class(store):
    matrix, classes = avc.class_matrix(Same(), avc.Senses(SETTINGS), store, "test", SETTINGS)
    assert len(classes) == 24 and matrix.shape == (24, 24)
    off = ~np.eye(24, dtype=bool)  # one clip per class: a class meets itself only as the same clip
    assert np.isnan(np.diag(matrix)).all() and np.allclose(matrix[off], 0.5)


def test_published_weights_are_the_ones_that_are_judged():
    model = avc.build(SETTINGS, 0)
    state = rounded(model)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name].to(value.dtype))
    assert all(v.dtype == torch.float16 for v in state.values() if v.is_floating_point())


@pytest.mark.parametrize("network", [*NETWORKS, "avenet-mf", "avenet-of"])
def test_a_network_is_a_function_of_its_seed(network):
    first, again, other = (avc.build(SETTINGS, seed, network).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[k], again[k]) for k in first)
    name = next(k for k in first if k.endswith("conv1_1.conv.weight"))
    assert not torch.equal(first[name], other[name])


def test_a_small_data_set_gets_more_epochs_but_not_without_end(store):
    usual, more = avc.plans(SETTINGS), avc.plans(SETTINGS, store)
    assert more["all"].epochs == LONGEST * usual["all"].epochs
    assert usual["naive"].grid is None and usual["grid"].grid == 0.04
    assert usual["naive"].imprint == usual["grid"].imprint > 0


def test_training_repeats_bit_for_bit_and_keeps_the_best(store, tmp_path):
    plan, states = avc.Plan("all", "all", 2), []
    for folder in ("a", "b"):
        told = iter((0.9, 0.1))
        model, history = avc.train(
            store,
            SETTINGS,
            plan,
            seed=3,
            run_dir=tmp_path / folder,
            validate=lambda _, told=told: {"accuracy": next(told)},
            quiet=True,
        )
        assert history.best["epoch"] == 0 and len(history.epochs) == 2
        states.append(model.state_dict())
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    one, _ = avc.train(store, SETTINGS, avc.Plan("all", "all", 1), seed=3, run_dir=None, quiet=True)
    assert all(torch.equal(states[0][k], v) for k, v in one.state_dict().items()), (
        "the best epoch was the first"
    )


def test_a_network_goes_on_from_another_at_a_lower_rate(store):
    first, plan = avc.build(SETTINGS, 5), avc.Plan("grid", "sampled", 1, start="all")
    before = {k: v.clone() for k, v in first.state_dict().items()}
    model, _ = avc.train(store, SETTINGS, plan, seed=0, run_dir=None, start=first, quiet=True)
    assert all(torch.equal(before[k], v) for k, v in first.state_dict().items()), (
        "the start must stay as it is"
    )
    moved = (model.fc1.weight - first.fc1.weight).abs().max()
    assert (
        0 < moved < 0.3 * SETTINGS.learning_rate * 1.1 * 8
    )  # Adam: at most about the rate per step, 8 steps


def test_a_plan_without_a_start_has_the_facts_it_always_had():
    assert "start" not in avc.Plan("all", "all", 3).facts and "epochs" not in avc.Plan("all", "all", 3).facts
    assert avc.Plan("grid", "sampled", 3, start="all").facts["start"] == "all"


@pytest.mark.parametrize("network", NETWORKS)
def test_judging_is_in_32_bits_even_under_autocast(pairs, network):
    model, senses = avc.build(SETTINGS, 0, network), avc.Senses(SETTINGS)
    plain = avc.judge(model, senses, pairs)
    with torch.autocast("cpu", torch.bfloat16):
        assert np.array_equal(avc.judge(model, senses, pairs), plain)


def test_shuffled_pairs_are_one_fixed_derangement_of_meaning(store):
    def sounds(seed, epoch):
        data = PairBatches(
            store, "train", batch_size=8, image_crop=32, pairs="all", seed=seed, shuffle_pairs=True
        )
        rows = data.epoch(epoch).rows
        return dict(zip(rows.image.tolist(), rows.sound.tolist(), strict=True))

    first, later = sounds(0, 0), sounds(0, 5)  # seed, epoch
    common = first.keys() & later.keys()
    assert common and all(first[k] == later[k] for k in common)


def scored(values):
    """Scores with given (value, low, high)."""
    return [avc.Score(np.array([]), np.array([]), Interval(*v, 100), None) for v in values]


def test_the_shortcut_is_judged_on_own_and_on_clean_pairs():
    high, low = scored([(0.9, 0.85, 0.95)]), scored([(0.5, 0.45, 0.55)])
    found = {("naive", "own"): high, ("grid", "own"): low, ("naive", "clean"): low, ("grid", "clean"): low}
    assert avc.Shortcut(found, []).inflated and avc.Shortcut(found, []).not_better_on_clean
    assert not avc.Shortcut(found | {("grid", "own"): high}, []).inflated
    other = found | {("naive", "clean"): high}
    assert not avc.Shortcut(other, []).inflated and not avc.Shortcut(other, []).not_better_on_clean


def test_above_chance_asks_every_seed():
    assert avc.above_chance(scored([(0.6, 0.55, 0.65), (0.7, 0.6, 0.8)]))
    assert not avc.above_chance(scored([(0.6, 0.55, 0.65), (0.52, 0.48, 0.56)]))


# --------------------------------------------------------------- what a plan sees, and with which network


def test_plans_name_their_network_and_its_family():
    for family, networks in {"l3net": {"l3net"}, "avolnet": {"avolnet"}}.items():
        assert {plan.network for plan in avc.plans(SETTINGS, family=family).values()} == networks
    known = avc.plans(SETTINGS, family="avenet")
    assert {plan.family for plan in known.values()} == {"avenet"}
    assert (known["mf"].network, known["mf"].view) == ("avenet-mf", "frames")
    assert (known["of"].network, known["of"].view) == ("avenet-of", "flow")
    assert (known["single"].network, known["single"].view) == ("avenet", "middle"), "the control of both"
    assert all(plan.name == name for name, plan in known.items())


@pytest.mark.parametrize(("warm", "start"), [(True, "all"), (False, "")])
def test_motion_begins_from_a_trained_network_only_where_the_profile_says_so(warm, start):
    settings = dataclasses.replace(SETTINGS, motion_starts_warm=warm)
    known = avc.plans(settings, family="avenet")
    assert {known[name].start for name in ("single", "mf", "of")} == {start}


def test_papers_numbers_are_of_known_networks():
    assert avc.PAPER["l3net"]["sampled"] == 0.808 and avc.PAPER["avenet"]["sampled"] == 0.819
    assert (avc.PAPER["avenet"]["mf"], avc.PAPER["avenet"]["of"]) == (0.847, 0.849)
    assert (avc.PAPER["l3net"]["naive"], avc.PAPER["l3net"]["grid"]) == (0.876, 0.819)


@pytest.mark.parametrize("view", ["middle", "frames", "flow"])
def test_the_three_views_of_a_clip_share_their_pairs(store, view):
    pairs = avc.pair_list(store, "test", SETTINGS, match="clip", view=view)
    usual = avc.pair_list(store, "test", SETTINGS, match="clip", view="middle")
    assert len(pairs.rows.match) == 2 * len(store.sounds("test"))
    for ours, theirs in zip(pairs.rows.arrays(), usual.rows.arrays(), strict=True):
        assert np.array_equal(ours, theirs)


def test_a_batch_of_motion_becomes_what_its_network_takes(store):
    shapes = {"middle": (3, 32, 32), "frames": (3, 25, 32, 32), "flow": (23, 32, 32)}
    networks = {"middle": "avenet", "frames": "avenet-mf", "flow": "avenet-of"}
    for view, shape in shapes.items():
        batch = avc.pair_list(store, "test", SETTINGS, match="clip", view=view)[0]
        image, sound = avc.Senses(SETTINGS)(batch)
        assert image.shape[1:] == shape and sound.shape[1:] == (1, SETTINGS.bins, SETTINGS.frames)
        model = avc.build(SETTINGS, 0, networks[view]).eval()
        with torch.no_grad():
            assert model.embed_image(image).shape == (len(image), 128)
    still = avc.pair_list(store, "test", SETTINGS, match="clip", view="middle")[0]["image"]
    seen = avc.Senses(SETTINGS).see(still)
    flow = avc.pair_list(store, "test", SETTINGS, match="clip", view="flow")[0]
    frames = avc.Senses(SETTINGS).image(
        avc.pair_list(store, "test", SETTINGS, match="clip", view="frames")[0]
    )
    assert torch.equal(avc.Senses(SETTINGS).image(flow)[:, :3], seen)
    assert len(frames) < len(seen), "fewer videos at once"
    assert torch.equal(frames[:, :, 12], seen[: len(frames)]), "the picture is the middle frame"


def test_augmentation_mirrors_frames_and_flow_like_the_picture(store):
    """Draws at which pictures are mirrored: every frame is, and the horizontal flow changes its sign."""
    plain, augmented = avc.Senses(SETTINGS), avc.Senses(SETTINGS, augment=True)
    for view in ("frames", "flow"):
        batch = avc.pair_list(store, "test", SETTINGS, match="clip", view=view)[0]
        before = plain.image(batch)
        sizes = {"mirrored": 0, "kept": 0}
        for value in (0.1, 0.9):
            draws = torch.full_like(batch["draws"], 0.5)
            draws[:, 0] = value
            after = augmented.image(batch | {"draws": draws})
            moving = (slice(None), slice(3, None)) if view == "flow" else slice(None)
            turned = before.flip(-1)[moving].clone()
            if view == "flow":
                turned[:, ::2] *= -1
            for name, expected in (("mirrored", turned), ("kept", before[moving])):
                sizes[name] += torch.allclose(after[moving], expected, atol=1e-4)
        assert sizes == {"mirrored": 1, "kept": 1}


@pytest.mark.parametrize(("kind", "network"), [(AVENetMF, "avenet-mf"), (AVENetOF, "avenet-of")])
def test_a_network_for_motion_begins_with_the_answers_of_the_still_one(store, kind, network):
    from llinet_lite.avc.task import warm

    start = fresh("avenet").model
    view = "frames" if network.endswith("mf") else "flow"
    model = warm(SETTINGS, 0, avc.Plan("x", "all", 1, network=network, view=view), start).eval()
    assert type(model) is kind
    batch = avc.pair_list(store, "test", SETTINGS, match="clip", view=view)[0]
    if view == "frames":
        batch["frames"] = batch["frames"][:, 12:13].expand(-1, 25, -1, -1, -1)  # nothing moves
    image, _ = avc.Senses(SETTINGS)(batch)
    still = image[:, :, 12] if view == "frames" else image[:, :3]
    with torch.no_grad():
        assert torch.allclose(model.embed_image(image), start.embed_image(still), atol=1e-5)


@pytest.mark.parametrize("network", ["avenet", "avolnet"])
def test_every_network_learns_by_both_kinds_of_pairs(store, network):
    for pairs in ("all", "sampled"):
        plan = avc.Plan("x", pairs, 1, network=network)
        before = avc.build(SETTINGS, 0, network)
        model, history = avc.train(store, SETTINGS, plan, seed=0, run_dir=None, quiet=True)
        assert np.isfinite(history.epochs[-1]["loss"])
        name = next(k for k in model.state_dict() if k.endswith("conv1_1.conv.weight"))
        assert not torch.equal(model.state_dict()[name], before.state_dict()[name])


def test_overfitting_one_batch_lowers_the_loss(store):
    losses, accuracy = avc.overfit(store, SETTINGS, seed=0, count=4, steps=12, network="avenet")
    assert len(losses) == 12 and losses[-1] < losses[0] and accuracy >= 0.5


def test_distances_are_those_that_the_network_decides_by(store, pairs):
    model = fresh("avenet").model
    distance = avc.distances(model, avc.Senses(SETTINGS), pairs)
    assert distance.shape == pairs.rows.match.shape and (distance >= 0).all() and (distance <= 2).all()
    weight, bias = model.fc3.weight.detach().numpy()[:, 0], model.fc3.bias.detach().numpy()
    logits = distance[:, None] * weight + bias
    expected = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    assert np.allclose(avc.judge(model, avc.Senses(SETTINGS), pairs), expected, atol=1e-5)


def test_the_class_matrix_of_a_map_takes_its_largest_cell(store):
    run = fresh("avolnet")
    matrix, classes = avc.class_matrix(run.model, avc.Senses(SETTINGS), store, "test", SETTINGS)
    assert isinstance(run.model, AVOLNet) and matrix.shape == (len(classes),) * 2
    off = ~np.eye(len(classes), dtype=bool)
    assert (matrix[off] > 0).all() and (matrix[off] < 1).all()


def test_the_items_of_a_score_are_clips_or_photos_and_sounds_apart(store, photos, pairs):
    score = avc.score(fresh("avenet").model, avc.Senses(SETTINGS), pairs)
    match = pairs.rows.match == 1
    assert (score.items[match, 0] == score.items[match, 1]).all(), "one clip"
    assert (score.items[~match, 0] != score.items[~match, 1]).all()
    apart = avc.pair_list(photos, "test", SETTINGS, match="class")
    items = avc.score(fresh("avenet").model, avc.Senses(SETTINGS), apart).items
    assert not set(items[:, 0]) & set(items[:, 1])

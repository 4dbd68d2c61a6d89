"""What the lessons show: neighbours by brute force, the second that is heard, figures and tables."""

from __future__ import annotations

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest
from avc_fakes import RATE, SETTINGS, fresh, seeing

from llinet_lite import avc
from llinet_lite.metrics.localization import baselines, evaluate
from llinet_lite.metrics.relevance import same_class

DIRECTIONS = {"im-im": ("image", "image"), "im-aud": ("image", "audio"), "aud-im": ("audio", "image"),
              "aud-aud": ("audio", "audio")}  # fmt: skip


@pytest.fixture(scope="module")
def items(store):
    return avc.embed(fresh("avenet"), store, "test", SETTINGS)


@pytest.fixture(scope="module")
def located(store):
    return avc.locate(fresh("avolnet"), store, "test", SETTINGS)


@pytest.fixture(autouse=True)
def no_figures():
    yield
    plt.close("all")


def identity(item) -> bytes:
    """What tells an item from all others."""
    return (item.image if item.image is not None else item.waveform).tobytes()


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_neighbours_are_those_of_brute_force(store, items, direction):
    asked, searched = DIRECTIONS[direction]
    relevance = avc.relevance(store)
    vectors = getattr(items, asked).double().numpy(), getattr(items, searched).double().numpy()
    labels = getattr(items, f"{searched}_label")
    names = [c["name"] for c in store.classes]
    for query in (0, 11, 23):
        far = np.linalg.norm(vectors[0][query] - vectors[1], axis=1)
        if asked == searched:
            far[query] = np.inf
        order = np.argsort(far, kind="stable")[:4]
        shown, found = avc.neighbours(store, "test", items, direction, relevance, query=query, count=4)
        assert [item.caption for item in found] == [names[labels[k]] for k in order]
        assert shown.caption == names[getattr(items, f"{asked}_label")[query]]
        for item, k in zip(found, order, strict=True):
            assert item.right == (item.caption == shown.caption)
            grade = relevance.between([names.index(shown.caption)], [int(labels[k])])
            assert item.relevance == float(grade[0, 0])
        kinds = {"image": "picture", "audio": "sound"}
        assert shown.kind == kinds[asked] and {item.kind for item in found} == {kinds[searched]}


@pytest.mark.parametrize("direction", ["im-im", "aud-aud"])
def test_a_query_never_finds_itself(store, items, direction):
    """Even if everything is asked for, and if another item is its equal."""
    twin = items.image.clone()
    twin[5] = twin[3]
    same = dataclasses.replace(items, image=twin, audio=twin)
    shown, found = avc.neighbours(store, "test", same, direction, avc.relevance(store), query=3, count=99)
    assert len(found) == len(items.image) - 1
    assert identity(shown) not in {identity(item) for item in found}
    assert found[0].caption == store.classes[int(items.image_label[5])]["name"]


def test_across_the_senses_the_own_half_can_be_found(store, items):
    same = dataclasses.replace(items, audio=items.image)
    _, found = avc.neighbours(store, "test", same, "im-aud", avc.relevance(store), query=9, count=1)
    assert found[0].right


def test_what_is_heard_is_the_second_around_the_frame(store, items):
    images, sounds = store.images("test"), store.sounds("test")
    for query in (0, 17):
        shown, _ = avc.neighbours(store, "test", items, "aud-im", avc.relevance(store), query=query, count=1)
        row = int(items.image_row[query])
        first = round((float(images.time[row]) - 0.5) * RATE)
        expected = sounds.audio(int(images.clip[row]), first, RATE)
        assert np.array_equal(shown.waveform, expected) and shown.sample_rate == RATE
        shown, _ = avc.neighbours(store, "test", items, "im-im", avc.relevance(store), query=query, count=1)
        assert np.array_equal(shown.image, images.image(row))


def test_of_a_recording_the_middle_is_heard(photos):
    items = avc.embed(fresh("avenet"), photos, "test", SETTINGS)
    shown, found = avc.neighbours(photos, "test", items, "aud-aud", avc.relevance(photos), query=5)
    assert np.array_equal(shown.waveform, photos.sounds("test").audio(5, RATE // 4, RATE)) and len(found) == 5


def test_the_space_is_drawn_with_both_senses_and_their_families(store, items, photos):
    figure = avc.space_figure(store, items)
    ax = figure.axes[0]
    assert sum(len(part.get_offsets()) for part in ax.collections) >= 2 * len(items.image)
    colours = {tuple(c) for part in ax.collections for c in part.get_facecolor()[:, :3]}
    assert len(colours) > 2, "a colour for every family"
    odd = [{"name": f"thing {k}", "seen": True} for k in range(32)]
    unknown = type("Odd", (), {"classes": odd})()
    assert avc.space_figure(unknown, items).axes, "classes of one's own have no family"


def test_the_wall_of_maps_has_a_place_for_every_picture(store, located):
    chosen = located.one_of_each_class()[:4]
    figure = avc.map_wall(store, "test", located, chosen)
    names = [store.classes[int(located.label[k])]["name"] for k in chosen]
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert len(titles) == 4 and all(t.startswith(n) for t, n in zip(titles, names, strict=True))
    for title, k in zip(titles, chosen, strict=True):
        hit = avc.pointing([located.pick(np.array([k, (k + 2) % 48]))]).rows["own sound"][0, 0]
        assert ("hit" in title) == bool(hit)


def test_the_wall_of_duets_shows_no_picture_twice(store):
    tried = avc.duets(fresh("avolnet"), store, "scenes", SETTINGS)
    figure = avc.duet_wall(store, "scenes", tried, count=99)
    captions = [ax.get_title() for ax in figure.axes if " and\n" in ax.get_title()]
    assert len(captions) == len(tried.scenes.label)
    first = store.classes[int(tried.scenes.label[0])]["name"], store.classes[int(tried.partner[0])]["name"]
    assert captions[0] == " and\n".join(first)
    few = avc.duet_wall(store, "scenes", tried, count=2)
    assert sum(" and\n" in ax.get_title() for ax in few.axes) == 2


def test_pictures_are_shown_as_the_network_saw_them(store, located):
    figure = avc.disc_figure(store, "test", located, [0, 3])
    for ax, k in zip(figure.axes, (0, 3), strict=True):
        shown = ax.images[0].get_array()
        assert np.array_equal(shown, store.images("test").image(k)[4:36, 4:36])
        disc = ax.patches[0].get_radius()
        assert np.pi * disc**2 == pytest.approx(32 * 32 / 2, rel=1e-6), "half of the picture"
    plain = avc.disc_figure(store, "test", located, [0])
    assert len(plain.axes) == 1


def shown_objects(located):
    return located.pick(located.masks.any((1, 2)))


def test_protocols_stand_side_by_side_each_with_its_own_rows(located):
    located = shown_objects(located)
    rows = avc.protocol_rows(located, ("lvs2021", "objects2018", "adaptive"))
    assert list(rows.columns) == ["lvs2021, cIoU", "objects2018, pointing", "adaptive, cIoU"]
    assert list(rows.index[:3]) == ["AVOL-Net", "shuffled sound", "silence"]
    for column, protocol in zip(rows.columns, ("lvs2021", "objects2018", "adaptive"), strict=True):
        judged = {
            "AVOL-Net": evaluate(located.maps("own"), located.masks, protocol),
            "silence": evaluate(located.maps("silence"), located.masks, protocol),
            **baselines(located.masks, protocol),
        }
        for name, result in judged.items():
            assert rows.loc[name, column] == f"{result.value:.1%}", (name, column)
    assert rows.loc["whole image", "objects2018, pointing"] == "-", "a point is no area"
    assert rows.loc["image centre", "lvs2021, cIoU"] == "-"


def test_success_falls_with_the_overlap_and_the_ceiling_is_on_top(located):
    figure = avc.success_figure(shown_objects(located))
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines if len(line.get_ydata()) > 5}
    assert {"AVOL-Net", "centre disc", "whole image", "oracle ceiling"} <= set(lines)
    for name, shares in lines.items():
        assert (np.diff(shares) <= 1e-9).all(), name
        assert (np.asarray(lines["oracle ceiling"]) >= np.asarray(shares) - 1e-9).all(), name


def test_sizes_share_out_the_pictures():
    objects = np.zeros((9, 20, 20), np.uint8)
    for k, side in enumerate((4, 4, 4, 10, 10, 10, 16, 16, 16)):
        objects[k, 2 : 2 + side, 2 : 2 + side] = 1
    table = avc.by_size(seeing(objects, np.arange(9) % 3))
    assert list(table.index) == ["small", "medium", "large"] and list(table.n) == [3, 3, 3]
    assert (table.pointing == 1).all(), "the map is the mask"


def test_relevance_of_unknown_classes_is_shown_too(store, items):
    relevance = same_class([c["name"] for c in store.classes])
    _, found = avc.neighbours(store, "test", items, "im-aud", relevance, query=2)
    assert {item.relevance for item in found} <= {0.0, 20.0}
    assert all((item.relevance == 20) == item.right for item in found)

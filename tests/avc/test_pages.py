"""What lesson 02 shows: neighbours by brute force, the second that is heard, the space in the plane."""

from __future__ import annotations

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest
from avc_fakes import RATE, SETTINGS, fresh

from llinet_lite import avc
from llinet_lite.metrics.relevance import same_class

DIRECTIONS = {"im-im": ("image", "image"), "im-aud": ("image", "audio"), "aud-im": ("audio", "image"),
              "aud-aud": ("audio", "audio")}  # fmt: skip


@pytest.fixture(scope="module")
def items(store):
    return avc.embed(fresh("avenet"), store, "test", SETTINGS)


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


def test_relevance_of_unknown_classes_is_shown_too(store, items):
    relevance = same_class([c["name"] for c in store.classes])
    _, found = avc.neighbours(store, "test", items, "im-aud", relevance, query=2)
    assert {item.relevance for item in found} <= {0.0, 20.0}
    assert all((item.relevance == 20) == item.right for item in found)

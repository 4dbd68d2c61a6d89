"""Boxes of VGG-SS: the published counts, the damaged boxes, what is refused."""

import json

import numpy as np
import pytest

from llinet_lite.data.vggss import BoxedClip, read_boxes, read_list, union_masks


@pytest.fixture
def file(tmp_path):
    def write(rows):
        path = tmp_path / "boxes.json"
        path.write_text(json.dumps(rows), "utf-8")
        return path

    return write


def row(name="a_000001", boxes=((0.25, 0.0, 0.75, 0.5),)):
    return {"file": name, "class": "dog barking", "bbox": [list(box) for box in boxes]}


def test_boxes_are_read_and_drawn(file):
    clips = read_boxes(file([row(boxes=[(0.25, 0, 0.75, 0.5), (0, 0.75, 0.25, 1)]), row("b_000002")]))
    assert [c.id for c in clips] == ["a_000001", "b_000002"] and clips[0].label == "dog barking"
    masks = union_masks(clips, size=4)
    drawn = [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0]]
    assert masks.dtype == bool and masks[0].tolist() == np.array(drawn, bool).tolist()


def test_corners_are_cut_to_whole_pixels_and_to_the_image():
    clip = BoxedClip("a", "b", np.array([[0.24, 0.49, 0.99, 1.0]]))  # .96, 1.96, 3.96, 4 of 4 pixels
    mask = union_masks([clip], size=4)[0]
    assert mask[1:, :3].all() and mask.sum() == 9


def test_boxes_without_area_leave_an_empty_mask(file):
    clip = read_boxes(file([row(boxes=[(0.4, 0.3, -2.9e16, 0.9), (0.5, 0.5, 0.5, 0.5)])]))
    assert len(clip[0].boxes) == 2 and clip[0].boxes.min() == 0
    assert not union_masks(clip, 8).any()


def test_clips_are_given_in_the_order_asked_for(file, tmp_path):
    names = tmp_path / "list.csv"
    names.write_text("c\na\n\n", "utf-8")
    clips = read_boxes(file([row("a"), row("b"), row("c")]), read_list(names))
    assert [c.id for c in clips] == ["c", "a"]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "list of clips"),
        ({"a": 1}, "list of clips"),
        ([{"file": "a", "class": "b"}], "needs 'file', 'class' and 'bbox'"),
        ([row(boxes=[(0, 0, 1)])], "four finite numbers"),
        ([row(boxes=[])], "four finite numbers"),
        ([row(boxes=[(0, 0, 1, float("inf"))])], "four finite numbers"),
        ([row("a"), row("a")], "more than once"),
    ],
)
def test_damaged_files_are_refused(file, rows, says):
    with pytest.raises(ValueError, match=says):
        read_boxes(file(rows))


def test_other_damage_is_refused(file, tmp_path):
    with pytest.raises(ValueError, match="no boxes for 1 of 2 clips, as 'z'"):
        read_boxes(file([row("a")]), ["a", "z"])
    broken = tmp_path / "broken.json"
    broken.write_text("[{", "utf-8")
    with pytest.raises(ValueError, match="not JSON"):
        read_boxes(broken)
    with pytest.raises(FileNotFoundError):
        read_boxes(tmp_path / "none.json")
    for text in ("", "a\na\n"):
        broken.write_text(text, "utf-8")
        with pytest.raises(ValueError, match="each once"):
            read_list(broken)


def test_the_published_file(real):
    folder = real / "annotations" / "vggss"
    if not folder.is_dir():
        pytest.skip(f"no VGG-SS boxes at {folder}")
    clips = read_boxes(folder / "vggss.json")
    assert len(clips) == 5158 and sum(len(c.boxes) for c in clips) == 5941
    assert len({c.label for c in clips}) == 221
    flat = np.concatenate([c.boxes for c in clips])
    assert ((flat[:, 2] <= flat[:, 0]) | (flat[:, 3] <= flat[:, 1])).sum() == 18
    lists = {kind: read_list(folder / f"vggss{kind}_test.csv") for kind in ("", "_heard", "_unheard")}
    assert [len(names) for names in lists.values()] == [5158, 2564, 2575]
    heard = read_boxes(folder / "vggss.json", lists["_heard"])
    unheard = read_boxes(folder / "vggss.json", lists["_unheard"])
    assert not {c.label for c in heard} & {c.label for c in unheard}

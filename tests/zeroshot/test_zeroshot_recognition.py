"""Answers and tables of zero-shot recognition: what is chosen where, and how it is counted."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from scipy.spatial.distance import cdist
from sklearn.metrics import balanced_accuracy_score
from test_exam import part

from llinet_lite.metrics import recognition as measures
from llinet_lite.rivals import RECOGNITION
from llinet_lite.zeroshot import recognition, recognition_table
from llinet_lite.zeroshot.exam import Exam
from llinet_lite.zeroshot.recognition import CALIBRATIONS, Answers, Gatekeeper, Learned, answers, nearest
from llinet_lite.zeroshot.recognition_table import PAPER, RecognitionTable

RNG = np.random.default_rng(0)
SEEN, UNSEEN, SIZE = 4, 3, 12


def spread(labels, centres, noise: float):
    one = part(labels, size=SIZE)
    for name in ("image", "sound"):
        points = centres[labels] + noise * RNG.normal(size=(len(labels), SIZE))
        getattr(one, name)[:] = points.clip(0)  # as after a ReLU
    return one


def exam(noise: float = 0.3, each: int = 20) -> Exam:
    """Classes 0 to 6 around points of one space: pictures and sounds of a class belong together."""
    centres = np.abs(3 * RNG.normal(size=(SEEN + UNSEEN, SIZE)))
    seen, unseen = np.repeat(np.arange(SEEN), each), np.repeat(np.arange(SEEN, SEEN + UNSEEN), each)
    return Exam(spread(seen, centres, noise), spread(seen, centres, noise), spread(unseen, centres, noise))


def test_nearest_is_scipys_distance():
    images, vectors = RNG.normal(size=(9, 5)), RNG.normal(size=(4, 5))
    assert np.allclose(nearest()(images, vectors), 1 - cdist(images, vectors, "cosine"))
    plain = nearest("euclidean", unit=False)(images, vectors)
    assert np.allclose(plain, -cdist(images, vectors, "sqeuclidean"))
    scaled = nearest("euclidean")(images, vectors)
    assert np.array_equal(scaled.argsort(1), nearest()(images, vectors).argsort(1))
    with pytest.raises(ValueError, match="distance must be"):
        nearest("manhattan")


@pytest.mark.parametrize("method", RECOGNITION)
def test_every_rival_sits_the_exam(method):
    easy = exam(0.05)
    learner = Learned(method, easy, RECOGNITION[method].grid[0], epochs=2, seed=0)
    seen, unseen = easy.ask(learner)
    assert seen.shape == (80, 7) and unseen.shape == (60, 7)
    assert np.isfinite(seen).all() and np.isfinite(unseen).all()
    learned = 2 if RECOGNITION[method].needs_unseen else 1
    assert len(learner._known) == learned  # once, or once for each half's vectors


def test_options_are_chosen_by_the_classes_that_play_unseen(monkeypatch):
    grid = ({"a": 1}, {"a": 2}, {"a": 3})
    monkeypatch.setitem(RECOGNITION, "SAE", type("Fake", (), {"grid": grid}))
    monkeypatch.setattr(recognition, "Learned", lambda method, exam, options, **_: options)
    monkeypatch.setattr(Exam, "ask", lambda self, scores, prototypes: scores)
    monkeypatch.setattr(
        recognition, "zero_shot", lambda exam, options: {1: 0.2, 2: 0.5, 3: 0.5}[options["a"]]
    )
    assert recognition.chosen_options("SAE", exam(), epochs=1, seed=0) == ({"a": 2}, [0.2, 0.5, 0.5])


def test_a_perfect_method_is_perfect_under_every_calibration_but_none_needs_the_test():
    first, last = exam(0.01), exam(0.01)
    gate = Gatekeeper.of(first, last)
    said = answers((first, last), (first.ask(nearest()), last.ask(nearest())), gate, 0, {})
    assert said.zsl.all() and said.curve.area == pytest.approx(1)
    assert all(side.all() for how in ("none", "stacking") for side in said.hits[how])
    assert set(said.hits) == set(CALIBRATIONS)


def test_calibration_looks_at_the_first_exam_only():
    """With other answers in the final exam, bias and thresholds stay."""
    first, last = exam(1.5), exam(1.5)
    gate = Gatekeeper.of(first, last)
    tried, final = first.ask(nearest()), last.ask(nearest())
    one = answers((first, last), (tried, final), gate, 0, {})
    other = answers((first, last), (tried, (final[0][:, ::-1], final[1][:, ::-1])), gate, 0, {})
    assert one.chosen == other.chosen
    assert one.hits["none"][1].sum() != other.hits["none"][1].sum()


def test_the_gatekeeper_is_a_classifier_of_the_seen_classes():
    first, last = exam(0.3), exam(0.3)
    seen, unseen = Gatekeeper.of(first, last).final
    assert seen.shape == (80, SEEN) and unseen.shape == (60, SEEN)
    assert (seen.argmax(1) == last.labels(last.seen_items)).mean() > 0.9


def table(seeds: int = 2) -> RecognitionTable:
    first, last = exam(2.0), exam(2.0)
    gate, of = Gatekeeper.of(first, last), []
    for seed in range(seeds):
        scores = first.ask(nearest()), last.ask(nearest())
        scores[1][1][:] += seed * 0.1 * RNG.normal(size=scores[1][1].shape)
        of.append(answers((first, last), scores, gate, seed, {}))
    return RecognitionTable({"LLINet": of, "SAE": of[::-1]}, last)


def test_cells_are_class_means_and_harmonic_means():
    found = table()
    known, labels = map(found.exam.labels, (found.exam.seen_items, found.exam.unseen_items))
    of = found.rows["LLINet"]
    want = [balanced_accuracy_score(labels, one.confused) for one in of]
    assert found.interval("LLINet", "acc").value == pytest.approx(np.mean(want))
    for how in CALIBRATIONS:
        tr, ts, hm = (found.interval("LLINet", m, how) for m in ("tr", "ts", "hm"))
        each = []
        for one in of:
            a, b = (
                np.mean([side[y == k].mean() for k in np.unique(y)])
                for side, y in zip(one.hits[how], (known, labels), strict=True)
            )
            each.append(2 * a * b / (a + b))
        assert hm.value == pytest.approx(np.mean(each)) and hm.low <= hm.value <= hm.high
        assert tr.low >= 0 and ts.high <= 1
    assert found.means_between() and found.difference("LLINet", "SAE").value == pytest.approx(0)
    assert found.chance("acc") == pytest.approx(1 / 3) and found.chance("hm") == pytest.approx(1 / 7)


def test_the_table_and_the_results_say_the_same(monkeypatch):
    from types import SimpleNamespace

    found = table()
    lesson = SimpleNamespace(settings=SimpleNamespace(name="smoke"), data_hash="x")
    results = {row.name: row for row in found.results(lesson, {"SAE": 2.0})}
    assert len(results) == 2 * (1 + 6 + 1)
    assert results["acc, LLINet"].paper == PAPER["LLINet"][0] / 100
    assert results["hm (gate), SAE"].paper == PAPER["SAE"][3] / 100 and results["acc, SAE"].minutes == 2
    assert results["hm (stacking), SAE"].paper is None
    cell = found.interval("LLINet", "hm")
    assert found.frame().loc["LLINet", "hm"].startswith(f"{cell.value:.1%}")
    assert list(found.frame().index) == ["chance", "LLINet", "SAE"]
    assert list(found.calibrations().columns) == [*CALIBRATIONS, "AUSUC", "area, gate"]
    assert np.allclose(found.confusion("LLINet").sum(1), 1)


def test_the_area_has_students_interval_and_one_seed_has_none():
    from types import SimpleNamespace

    lesson = SimpleNamespace(settings=SimpleNamespace(name="smoke"), data_hash="x")
    found = table(3)
    areas = found.area("LLINet")
    (row,) = [row for row in found.results(lesson) if row.name == "AUSUC, LLINet"]
    expected = scipy.stats.t.interval(0.95, 2, np.mean(areas), scipy.stats.sem(areas))
    assert row.value == pytest.approx(np.mean(areas))
    assert (row.low, row.high) == pytest.approx(np.clip(expected, 0, 1))
    (row,) = [row for row in table(1).results(lesson) if row.name == "AUSUC, LLINet"]
    assert row.low is None and row.high is None


def test_luck_of_perfect_answers_is_one_link_in_all():
    """Three classes have six links, one of which is right: p is about one sixth, and never less."""
    exam_ = exam(0.01)
    labels = exam_.labels(exam_.unseen_items)
    right = np.ones(len(labels), bool)
    one = Answers(0, right, labels, {}, measures.GZSLCurve(np.zeros(0), np.ones(1), np.ones(1)), None, {})
    luck = RecognitionTable({"LLINet": [one]}, exam_).luck(draws=3000)
    assert float(luck.loc["LLINet", "p"]) == pytest.approx(1 / 6, abs=0.03)


def test_all_sit_the_exams_of_their_seed(monkeypatch, capsys):
    pairs = [(exam(1.0), exam(1.0)) for _ in range(2)]
    sat = []

    def rival(name, pair, gate, epochs, seed):
        sat.append((name, [one is pair for one in pairs].index(True), epochs, seed))
        return answers(pair, tuple(one.ask(nearest()) for one in pair), gate, seed, {})

    monkeypatch.setattr(recognition_table, "_rival", rival)
    found, minutes = recognition_table.sit(pairs, {"LLINet": pairs}, (0, 1), epochs=3)
    assert list(found.rows) == [*RECOGNITION, "LLINet"] and list(minutes) == list(RECOGNITION)
    assert sat == [(name, seed, 3, seed) for seed in (0, 1) for name in RECOGNITION]
    assert [one.seed for one in found.rows["LLINet"]] == [0, 1]
    assert "DCN, seed 1" in capsys.readouterr().out

"""Results as one place: what is committed agrees with results/, and the builder against made-up results."""

from __future__ import annotations

import json

import pytest

from llinet_lite.__main__ import main
from llinet_lite.course import CourseError, tables
from llinet_lite.course.measured import COLUMNS, Measured, bounds, joined, machine_text, one, short
from llinet_lite.results import Result

MACHINE = {"processor cores": 2, "memory GB": 25.3, "gpu": "none", "packages": {"torch": "2.11.0"}}
OTHER = MACHINE | {"processor cores": 16, "memory GB": 128.0, "gpu": "Some GPU"}


def keep(folder, run, lesson, *results, machine=MACHINE, date="2026-01-02"):
    """Write a lesson's file as `--keep` does."""
    content = {
        "lesson": lesson, "profile": run.split("-")[0], "data": "built-in world",
        "results": [result.to_json() for result in results], "date": date, "machine": machine,
    }  # fmt: skip
    path = folder / run / f"{lesson}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def accuracy(value=0.8, low=0.75, high=0.84, name="AVC accuracy, all", **fields):
    return Result(name, value, low, high, **({"chance": 0.5, "paper": None, "seeds": (0, 1, 2)} | fields))


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    keep(folder, "laptop", "01_first", accuracy(paper=0.808))
    return folder


def rows(markdown: str, start: str) -> list[list[str]]:
    """The cells of every table row that starts with this label."""
    lines = [line.strip("| ").split(" | ") for line in markdown.splitlines() if line.startswith("|")]
    return [cells for cells in lines if cells[0].strip() == start]


# ---- what is committed


def test_readme_results_and_claims_agree_with_what_was_measured(root):
    """One command repairs it: `llinet report --tables`."""
    for path, text in tables.written(root, root / "results").items():
        name = path.relative_to(root)
        assert path.is_file(), f"{name} is missing: run `llinet report --tables`"
        assert path.read_text("utf-8") == text, f"{name} and results/ disagree: run `llinet report --tables`"


def test_every_row_of_the_readme_was_measured(root):
    measured = Measured.read(root / "results")
    retrieval = [
        f"06 {m} {w}, {x}" for m in ("R@1", "mAP") for w in tables.DIRECTIONS for x in tables.METHODS
    ]
    for name in [*(name for row in tables.HEARING for name in row.names), *retrieval]:
        assert measured.result("laptop", name), f"results/laptop has no {name!r}"


def test_the_readme_stays_short(root):
    lines = (root / "README.md").read_text("utf-8").split(tables.BEGIN)[1].split(tables.END)[0].splitlines()
    assert sum(line.startswith("|") for line in lines) <= 48


def test_all_results_are_on_their_page(root):
    page = (root / "results" / "README.md").read_text("utf-8")
    for path in (root / "results").glob("*/*.json"):
        content = json.loads(path.read_text("utf-8"))
        section = page.split(f"### {path.stem.partition('_')[2].replace('_', ' ')}, `{path.parent.name}`")[1]
        section = section.split("\n#")[0]
        for entry in content["results"]:
            assert f"| {entry['name']} | " in section, f"{path}: {entry['name']}"


# ---- numbers as text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.8625, "", "86.2"), (0.5, "share", "50.0"), (0.7204, "nDCG", "0.720"), (None, "", "-"),
     (-0.218, "", "\u221221.8"), (-0.0001, "", "0.0"), (12.3456, "s", "12.346")],
)  # fmt: skip
def test_a_number(value, unit, text):
    assert one(value, unit) == text


def test_a_narrow_cell_shows_the_larger_half_and_unusual_seeds():
    assert short(accuracy(0.80, 0.75, 0.84)) == "80.0 \u00b1 5.0"
    assert short(accuracy(0.80, 0.79, 0.84, seeds=(0,))) == "80.0 \u00b1 4.0\u00b9"
    assert short(accuracy(0.80, None, None, seeds=(3,))) == "80.0\u00b9"  # one seed, no interval
    assert short(accuracy(0.80, 0.75, 0.84, seeds=tuple(range(12)))) == "80.0 \u00b1 5.0\u00b9\u00b2"
    assert short(accuracy(0.80, 0.75, 0.84, seeds=())) == "80.0 \u00b1 5.0"  # a constant
    assert short(accuracy(0.02, 0.01, 0.03), sign=True) == "+2.0 \u00b1 1.0"
    assert short(None) == "-"


def test_bounds_of_a_difference_never_hide_their_sign():
    assert bounds(0.0234, 0.0004, 0.0461, sign=True) == "+2.34 [+0.04, +4.61]"
    assert bounds(0.0234, 0.0, 0.0461, sign=True) == "+2.3 [+0.0, +4.6]"
    assert bounds(0.8, None, None) == "80.0" and bounds(0.8, 0.75, 0.84) == "80.0 [75.0, 84.0]"


def test_joined_cells():
    assert joined(["-", "-"]) == "-" == joined(["-", "-"], merge=False)
    assert joined(["50.0", "50.0"]) == "50.0"
    assert joined(["50.0", "50.0"], merge=False) == "50.0 \u00b7 50.0"
    assert joined(["-", "26.7"]) == "- \u00b7 26.7"


def test_a_machine_in_words():
    assert machine_text(MACHINE) == "2 CPU cores, 25 GB, no GPU, torch 2.11.0"
    assert machine_text(OTHER) == "16 CPU cores, 128 GB, Some GPU, torch 2.11.0"
    assert machine_text({}) == "a machine that was not noted"


# ---- the builder


def test_a_run_that_is_missing_leaves_dashes_and_a_line_that_says_so(results):
    text = tables.readme(Measured.read(results))
    (cells,) = rows(text, "AVC accuracy: L3-Net")
    assert cells == [
        "AVC accuracy: L3-Net", "[01](notebooks/01_first.ipynb)", "80.8", "80.0 \u00b1 5.0", "-", "-", "50.0"
    ]  # fmt: skip
    assert "* *gpu* (`gpu`): " in text and "not measured yet." in text
    assert rows(text, "AVC accuracy: AVE-Net")[0][2:] == ["-"] * 5  # nor was the lesson
    assert "largest differences" not in text


def test_paper_and_interval_may_be_missing_and_columns_follow_the_run(results):
    keep(results, "laptop", "01_first", accuracy(0.8, None, None, seeds=(0,)))
    keep(results, "gpu", "01_first", accuracy(0.9, 0.88, 0.91))
    keep(results, "laptop-traindata", "01_first", accuracy(0.7, 0.6, 0.8, seeds=(0,)))
    keep(results, "smoke-traindata", "01_first", accuracy(0.1, 0.05, 0.2))  # has no column
    (cells,) = rows(tables.readme(Measured.read(results)), "AVC accuracy: L3-Net")
    assert cells[2:] == ["-", "80.0\u00b9", "90.0 \u00b1 2.0", "70.0 \u00b1 10.0\u00b9", "50.0"]


def test_two_machines_of_one_run_are_both_named(results):
    keep(results, "laptop", "02_second", accuracy(), machine=OTHER, date="2026-03-04")
    keep(results, "laptop", "03_third", accuracy(), date="2026-02-01")
    line = next(x for x in tables.readme(Measured.read(results)).splitlines() if x.startswith("* *laptop*"))
    assert "lesson 01, 03 on 2 CPU cores, 25 GB, no GPU, torch 2.11.0, 2026-01-02 to 2026-02-01" in line
    assert "lesson 02 on 16 CPU cores, 128 GB, Some GPU, torch 2.11.0, 2026-03-04." in line


def test_methods_of_table_1_by_direction_and_chance(results):
    cells = [
        accuracy(v, v - 0.1, v + 0.1, f"{m} {w}, LLINet", chance=c, paper=p)
        for m, w, v, c, p in [
            ("R@1", "I2A", 0.2, 0.14, 0.411), ("R@1", "A2I", 0.3, 0.14, 0.383),
            ("mAP", "I2A", 0.4, 0.15, 0.493), ("mAP", "A2I", 0.5, 0.16, None),
        ]
    ]  # fmt: skip
    keep(results, "laptop", "06_retrieval", *cells)
    text = tables.readme(Measured.read(results))
    (ours,), (chance,) = rows(text, "LLINet"), rows(text, "chance")
    assert ours[1:3] == ["41.1 \u00b7 38.3", "20.0 \u00b1 10.0 \u00b7 30.0 \u00b1 10.0"]
    assert ours[5:7] == ["49.3 \u00b7 -", "40.0 \u00b1 10.0 \u00b7 50.0 \u00b1 10.0"]
    assert chance[1:3] == ["-", "14.0"] and chance[6] == "15.0 \u00b7 16.0"
    assert rows(text, "DAR")[0][1:] == ["-"] * 8


def test_the_largest_effects_beyond_their_interval_one_per_difference(results):
    effects = [
        ("scale-1, mAP, unseen", -0.02, -0.03, -0.01), ("scale-1, mAP, seen", -0.30, -0.31, -0.29),
        ("all, mAP, seen", 0.40, -0.1, 0.9),  # large, and its interval holds zero
        ("new-one, mIoU, unseen", 0.10, 0.05, 0.15), ("k-on-test, mIoU, unseen", 0.08, 0.01, 0.15),
        ("mask-resize, mIoU, unseen", 0.09, 0.08, 0.10),
    ]  # fmt: skip
    keep(results, "laptop", "09_audit", *(Result(*effect, seeds=(0, 1, 2)) for effect in effects))
    block = tables.readme(Measured.read(results)).split("| done otherwise |")[1].splitlines()[2:5]
    shown = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in block]
    assert [row[1] for row in shown] == ["mAP, seen", "mIoU, unseen", "mIoU, unseen"]
    assert [row[2] for row in shown] == ["\u221230.0 \u00b1 1.0", "+10.0 \u00b1 5.0", "+9.0 \u00b1 1.0"]
    assert shown[0][0] == "scale of the cosines: *none: 1* instead of *10*" and shown[1][0] == "new-one"


def test_everything_holds_every_run_and_benchmark(results):
    keep(results, "smoke-traindata", "01_first", accuracy(0.123, 0.1, 0.2), machine=OTHER)
    bench = {"date": "2026-05-06", "machine": {"processor": "X", "cores": 4}, "torch": "2", "rows": [
        {"name": "a step", "unit": "clips/s", "ours": 12.0, "plain": None, "against": "", "ratio": None}
    ]}  # fmt: skip
    (results / "bench.json").write_text(json.dumps(bench), encoding="utf-8")
    text = tables.everything(Measured.read(results), results)
    assert "### first, `laptop`" in text and "### first, `smoke-traindata`" in text and "Some GPU" in text
    assert "| AVC accuracy, all | 12.3 [10.0, 20.0] | 50.0 | - | % | 3 | 0 | 0.0 |" in text
    assert rows(text, "a step") == [["a step", "clips/s", "12", "-", "-", "-"]] and "X, 4 cores" in text
    (results / "bench.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CourseError, match=r"bench\.json is no benchmark .*`llinet bench` writes it again"):
        tables.everything(Measured.read(results), results)


def test_columns_have_a_description():
    assert set(tables.ABOUT) == set(COLUMNS)


# ---- reading and writing


def test_wrong_results_are_named(results):
    with pytest.raises(CourseError, match="holds no results: `llinet course --profile laptop --keep`"):
        Measured.read(results / "laptop")
    (results / "laptop" / "02_second.json").write_text('{"results": [{"name": "x"}]}', encoding="utf-8")
    with pytest.raises(CourseError, match=r"02_second\.json holds no valid results"):
        Measured.read(results)
    keep(results, "laptop", "02_second", accuracy())
    keep(results, "laptop", "02_renamed", accuracy())
    with pytest.raises(CourseError, match="two files of one lesson number"):
        Measured.read(results)


@pytest.mark.parametrize(
    "text",
    ["no marker", tables.BEGIN, tables.END, f"{tables.END}\n{tables.BEGIN}", 2 * (tables.BEGIN + tables.END)],
)
def test_a_readme_without_its_markers_is_refused_and_left_alone(results, tmp_path, text):
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    with pytest.raises(CourseError, match="must hold each of these two lines once, in this order"):
        tables.update(tmp_path, results)
    assert (tmp_path / "README.md").read_text("utf-8") == text and not (results / "README.md").exists()


def test_update_writes_between_the_markers_only_and_once(results, tmp_path):
    with pytest.raises(CourseError, match="run llinet from a copy of the course"):
        tables.update(tmp_path, results)
    head, tail = "# Mine\n\ntext\n\n", "\n\n## More\n"
    (tmp_path / "README.md").write_text(
        f"{head}{tables.BEGIN}\nstale words\n{tables.END}{tail}", encoding="utf-8"
    )
    changed = tables.update(tmp_path, results)
    assert [path.relative_to(tmp_path).as_posix() for path in changed] == [
        "README.md", "results/README.md", "notebooks/claims.md"
    ]  # fmt: skip
    text = (tmp_path / "README.md").read_text("utf-8")
    assert text.startswith(head + tables.BEGIN) and text.endswith(tables.END + tail) and "stale" not in text
    assert tables.update(tmp_path, results) == []
    keep(results, "laptop", "01_first", accuracy(0.81))
    assert len(tables.update(tmp_path, results)) == 3
    assert not list(tmp_path.rglob("*.tmp"))


def test_tables_take_no_run(capsys, tmp_path):
    for arguments in (["--folder", str(tmp_path)], ["--profile", "laptop"]):
        with pytest.raises(SystemExit, match="2"):
            main(["report", "--tables", *arguments])
        assert "--tables takes all of results/" in capsys.readouterr().err

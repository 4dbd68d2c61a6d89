"""The plans of the lessons: names, facts, learning rates of short runs, and the rows of Table 1."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re

import pytest
from zeroshot_fakes import SETTINGS

from llinet_lite.profiles import PROFILES
from llinet_lite.rivals import RETRIEVAL
from llinet_lite.zeroshot import OURS, Plan, plans, plans_frame, table_plans
from llinet_lite.zeroshot.table import PAPER

EVERY = list(PROFILES)
MODULE = importlib.import_module("llinet_lite.zeroshot.plans")  # the package has a function of its name


@pytest.mark.parametrize("profile", EVERY)
def test_names_are_unique_and_fit_for_files(profile):
    known = plans(PROFILES[profile])
    assert all(name == plan.name and re.fullmatch("[a-z0-9-]+", name) for name, plan in known.items())
    assert {plan.method for plan in known.values()} == {OURS, *RETRIEVAL}
    facts = [json.dumps(plan.facts, sort_keys=True, allow_nan=False) for plan in known.values()]
    assert len(set(facts)) == len(known) == 4 + 11 + 8 + 4


@pytest.mark.parametrize("profile", EVERY)
def test_facts_survive_a_card(profile):
    for plan in plans(PROFILES[profile]).values():
        assert json.loads(json.dumps(plan.facts)) == plan.facts
        assert Plan(**plan.facts) == plan


def test_a_control_changes_one_thing():
    known = plans(SETTINGS)
    ours = known["llinet"].facts
    changed = {"shuffled": {"shuffled"}, "distinct": {"distinct", "options"}}
    for name in ("shuffled", "all", "distinct", "scale-1", "matching"):
        differ = {k for k, value in known[name].facts.items() if value != ours[k]} - {"name"}
        assert differ == changed.get(name, {"options"}), name
        added = known[name].options.items() - ours["options"].items()
        assert len(added) == (0 if name == "shuffled" else 1)
    assert [name for name, plan in known.items() if plan.shuffled] == ["shuffled"]
    assert [name for name, plan in known.items() if plan.distinct] == ["distinct"]


def test_published_rates_are_left_alone_in_long_runs(monkeypatch):
    monkeypatch.setattr(MODULE, "RATES", {"CMPM": 5.0})
    short, long = (plans(dataclasses.replace(SETTINGS, epochs_rivals=n)) for n in (29, 30))
    assert (short["cmpm"].rate, long["cmpm"].rate) == (5.0, 1.0)
    assert {plan.rate for name, plan in short.items() if name != "cmpm"} == {1.0}
    assert short["cmpm"].epochs == 29 and short["llinet"].epochs == SETTINGS.epochs_llinet


@pytest.mark.parametrize("profile", EVERY)
def test_factors_are_for_known_rivals_and_short_runs(profile):
    assert set(MODULE.RATES) <= set(RETRIEVAL) and all(rate > 0 for rate in MODULE.RATES.values())
    settings, known = PROFILES[profile], plans(PROFILES[profile])
    for method in RETRIEVAL:
        expected = MODULE.RATES.get(method, 1.0) if settings.epochs_rivals < 30 else 1.0
        assert known[method.lower()].rate == expected
        if f"{method.lower()}-all" in known:
            assert known[f"{method.lower()}-all"].rate == expected
    solver = "adam" if settings.epochs_llinet < 30 else "sgd"
    assert {plan.options["solver"] for plan in known.values() if plan.method == OURS} == {solver}


def test_sir_is_narrower_below_paper_size():
    widths = {"smoke": {"width": 8}, "laptop": {"width": 8}, "gpu": {}, "paper": {}}
    for name, width in widths.items():
        known = plans(PROFILES[name])
        assert known["sir"].options == width and known["sir-all"].options == width | {"same_class": "all"}
        assert all("width" not in plan.options for plan in known.values() if plan.method != "SIR")


def test_rows_of_the_table_are_those_of_the_paper_in_its_order():
    known = plans(SETTINGS)
    rows = table_plans(known)
    assert list(rows) == list(PAPER) and list(rows)[-1] == OURS
    assert all(plan.method == name and not plan.shuffled for name, plan in rows.items())
    assert all(plan.options.get("same_class", "mask") == "mask" for plan in rows.values())
    more = table_plans(known, unmasked=True)
    added = {name: plan for name, plan in more.items() if name not in rows}
    assert list(added) == ["DAR, unmasked", "ULSLVC, unmasked", "SIR, unmasked", "SCAN, unmasked"]
    assert all(plan.options["same_class"] == "all" for plan in added.values())


def test_the_frame_has_a_line_per_plan():
    frame = plans_frame({"x": Plan("x", "SCAN", 6, 3.0, {"width": 2, "same_class": "all"})})
    assert frame.loc["x"].tolist() == ["SCAN", 6, "3", "width=2, same_class=all"]
    assert list(plans_frame(plans(SETTINGS)).index) == list(plans(SETTINGS))


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="no method 'GAN': choose one of LLINet, DAR"):
        Plan("gan", "GAN", 1)

"""TEMPORARY: wave B removes this with lesson 09, which still asks old runs; see experiments/zero_shot.py."""

from functools import partial

from llinet_lite.experiments import zero_shot
from llinet_lite.experiments.embedding import Items
from llinet_lite.zeroshot.evaluation import items_of
from llinet_lite.zeroshot.runs import PER_CLASS

CHOICES = {choice: (*how, how[1] == "cosine") for choice, how in zero_shot.CHOICES.items()}


def own_exams(store, settings, ours):
    """`zero_shot.own_splits` of old runs."""

    def part(run, name):
        items = items_of(store, name, most=PER_CLASS if name == "train" else 0)
        found, of = run.embed(store, name, settings, items), items
        sides = of.image_row, of.sound_row, of.image_label, of.sound_label, of.image_clip, of.sound_clip
        return zero_shot.Part(found.image.numpy(), found.audio.numpy(), Items(*sides))

    return {
        n: [zero_shot.splits(partial(part, run), store, run.seed) for run in of] for n, of in ours.items()
    }


def prototype_choices(ours):
    """`zero_shot.choices_table` as (row, choice) -> (accuracy, difference from the first choice or None)."""
    table, found = zero_shot.choices_table(ours, ()), {}
    for name in ours:
        for choice in CHOICES:
            row = f"{name}: {choice}"
            worth = table.interval(row, "worth") if "worth" in table.values[row] else None
            found[name, choice] = table.interval(row, "acc"), worth
    return found

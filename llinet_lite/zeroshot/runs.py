"""Networks that are trained once and then loaded.

The best epoch is chosen on seen classes that are held out of the training, other ones for every seed. The
unseen classes, on which retrieval is reported, take no part in any choice.

Notebook: 05, 06
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from llinet_lite.checkpoint import packed, unpacked
from llinet_lite.classifier import seen_labels
from llinet_lite.data.bandstand import WORLD_VERSION
from llinet_lite.data.store import Store
from llinet_lite.models import VGGish
from llinet_lite.models.trunks import Trunk
from llinet_lite.models.vggish import Ear
from llinet_lite.zeroshot.activations import fingerprint
from llinet_lite.zeroshot.evaluation import Embedded, Items, embed, items_of
from llinet_lite.zeroshot.plans import Plan, plans
from llinet_lite.zeroshot.task import build, ear_of, train

HELD_OUT = 4  # seen classes on which the epoch is chosen
PER_CLASS = 40  # pictures and sounds of each of them


def held_out(store: Store, seed: int) -> np.ndarray:
    """Return the labels (4,) of the seen classes that a seed does not train on, rising.

    A fifth of the classes where there are fewer than 20. One permutation is dealt out, so seeds 0 to 4 hold
    out different classes where there are 20 or more.
    """
    classes = seen_labels(store)
    count = min(HELD_OUT, max(1, len(classes) // 5))
    order = np.random.default_rng(0).permutation(classes)
    return np.sort(np.take(order, np.arange(seed * count, (seed + 1) * count), mode="wrap"))


def watched(store: Store, seed: int) -> dict[str, tuple[str, Items]]:
    """Return what is searched after every epoch: name -> (split, items).

    "mAP" chooses the epoch, on the held-out seen classes. "unseen" is recorded to show what choosing by the
    test classes would give, and chooses nothing.
    """
    out = held_out(store, seed)
    parts = {"mAP": ("train", items_of(store, "train", classes=out, most=PER_CLASS))}
    if "unseen" in store.splits:
        parts["unseen"] = ("unseen", items_of(store, "unseen", most=PER_CLASS // 2))
    return parts


@dataclass(frozen=True)
class Run:
    """A trained method and how it came about.

    Attributes
    ----------
    plan : Plan
    seed : int
    model : Module
        In eval mode.
    trunk : Trunk
    curve : list of dict
        After each epoch: mAP on the held-out seen classes, and the training loss and its terms.
    chosen : int
        Epoch whose weights these are, from 0.
    minutes : float
        Wall time of the training.
    loaded : bool
        True if reference weights were loaded.
    """

    plan: Plan
    seed: int
    model: nn.Module
    trunk: Trunk
    curve: list[dict]
    chosen: int
    minutes: float
    loaded: bool

    def embed(self, store: Store, split: str, settings, items=None) -> Embedded:
        """Embed a split, see :func:`llinet_lite.zeroshot.evaluation.embed`."""
        return embed(self.model, self.own_trunk, store, split, settings, items)

    @property
    def own_trunk(self) -> Trunk:
        """The trunk as the method uses it: LLINet may treat its batch normalisation otherwise."""
        return getattr(getattr(self.model, "network", None), "trunk", self.trunk)


def reference_name(plan: Plan) -> str:
    """Return the name of a plan's weights, as "llinet" or "cmpm"."""
    return plan.name


def trained_part(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the state of a method without frozen trunk and ear, which are kept once for all."""
    state = model.state_dict()
    return {k: value for k, value in state.items() if ".trunk." not in k and not k.startswith("ear.")}


def rounded_part(model: nn.Module) -> dict[str, torch.Tensor]:
    """Pack what was trained, round it in place too, and return it: what is judged is what is published."""
    small = packed(trained_part(model))
    model.load_state_dict(unpacked(small), strict=False)
    return small


def grown_on(trunk: Trunk, ear: Ear | None = None) -> str:
    """Return titles and marks of the frozen networks: a method that grew on them fits no others."""
    mark = f"{trunk.title} ({fingerprint(trunk)})"
    return mark if ear is None else f"{mark}; {ear.title} ({fingerprint(ear.vggish)})"


def _loaded(lesson, plan: Plan, trunk: Trunk, seed: int, ear: Ear | None) -> Run | None:
    """Return the reference network of this plan and world, or None where there is none."""
    path = lesson.reference(reference_name(plan))
    if path is None:
        return None
    card = lesson.card(path)
    # TEMPORARY: wave B removes this
    same = card["plan"] == plan.facts if "rate" in card["plan"] else plan == plans(lesson.settings)[plan.name]
    if not same or (card["world"], card["trunk"]) != (WORLD_VERSION, grown_on(trunk, ear)):
        print(f"{path.name} belongs to another plan, world, trunk or ear, so this trains anew", flush=True)
        return None
    model = build(plan, trunk, lesson.settings, card["classes"], seed, ear)
    frozen = {name: value for name, value in model.state_dict().items() if name not in trained_part(model)}
    model.load_state_dict(frozen | unpacked(load_file(path)))
    device = next(trunk.parameters()).device
    return Run(
        plan, seed, model.eval().to(device), trunk, card["curve"], card["chosen"], card["minutes"], True
    )


def train_or_load(lesson, plan: Plan, trunk: Trunk, *, seed: int = 0, vggish: VGGish | None = None) -> Run:
    """Load the reference weights of a plan, or train it where there are none.

    Parameters
    ----------
    lesson : Lesson
    plan : Plan
    trunk : Trunk
        Of :func:`llinet_lite.zeroshot.trunks.chosen_trunk`.
    seed : int
        Reference weights are those of seed 0.
    vggish : VGGish, optional
        What a plan with the option `audio="vggish"` hears through; others do without.
    """
    store, settings = lesson.store(splits=("train", "val")), lesson.settings
    ear = Ear(vggish, store.sample_rate) if plan.hears == "vggish" and vggish is not None else None
    known = _loaded(lesson, plan, trunk, seed, ear) if seed == 0 else None
    if known is not None:
        return known
    out = held_out(store, seed)
    classes = np.setdiff1d(seen_labels(store), out)
    parts = watched(store, seed)

    def validate(model) -> dict[str, float]:
        own = getattr(getattr(model, "network", None), "trunk", trunk)
        found = {
            name: embed(model, own, store, split, settings, items).retrieval()
            for name, (split, items) in parts.items()
        }
        return {
            name: sum(one.mean_average_precision for one in both.values()) / 2 for name, both in found.items()
        }

    print(f"training {plan.name}, seed {seed}: {plan.epochs} epochs", flush=True)
    marks = f"{trunk.name}-{fingerprint(trunk)}" + (f"-{fingerprint(ear.vggish)}" if ear else "")
    folder = lesson.training_dir / f"{reference_name(plan)}-{marks}-{plan.epochs}-{seed}"
    model, history = train(
        store, settings, plan, trunk, classes, seed=seed, run_dir=folder, validate=validate, ear=ear
    )
    rounded_part(model)
    minutes = round(sum(epoch["seconds"] for epoch in history.epochs) / 60, 2)
    curve = [
        {name: round(float(value), 4) for name, value in epoch.items() if name not in _NOT_IN_CURVE}
        for epoch in history.epochs
    ]
    return Run(plan, seed, model.eval(), trunk, curve, history.best["epoch"], minutes, False)


_NOT_IN_CURVE = ("epoch", "step", "lr", "samples_per_second", "seconds", "waiting", "bad_steps")


def publish(lesson, run: Run, measured) -> None:
    """Put a network of seed 0 that was trained here into the package, if the lesson was asked to publish."""
    if run.loaded or run.seed:
        return
    lesson.publish(
        reference_name(run.plan),
        rounded_part(run.model),
        seed=run.seed,
        results=measured,
        plan=run.plan.facts,
        world=WORLD_VERSION,
        trunk=grown_on(run.trunk, ear_of(run.model)),
        classes=len(seen_labels(lesson.store())) - len(held_out(lesson.store(), run.seed)),
        curve=run.curve,
        chosen=run.chosen,
        minutes=run.minutes,
    )

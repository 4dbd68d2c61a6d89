"""Which networks the lessons train, and how each is trained once and then loaded.

Notebook: 01, 02, 03, 05, 06, 07, 08, 09
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from llinet_lite import models
from llinet_lite.data.bandstand import WORLD_VERSION
from llinet_lite.data.batches import ClassPairs, PairBatches, evaluation_pairs
from llinet_lite.experiments.embedding import (
    Embedded,
    Items,
    activations,
    at_once,
    embed,
    embedded,
    items_of,
    matching,
    vectors,
)
from llinet_lite.experiments.methods import (
    CORRESPONDENCE,
    LLINET,
    METHODS,
    Correspondence,
    Inputs,
    LLINetMethod,
    look,
    own_trunk,
)
from llinet_lite.experiments.standins import (
    chosen_trunk,
    chosen_vggish,
    device,
    fingerprint,
    packed,
    seen_labels,
    unpacked,
)
from llinet_lite.features import LogMel, LogSpectrogram, to_image
from llinet_lite.losses import float32_arithmetic
from llinet_lite.models.towers import image_head
from llinet_lite.rivals import RETRIEVAL
from llinet_lite.training import fit, overfit_one_batch
from llinet_lite.workspace import WEIGHTS_VERSION, Workspace
from llinet_lite.world.instruments import SEEN

if TYPE_CHECKING:
    from llinet_lite.data.batches import Batches
    from llinet_lite.data.store import Store
    from llinet_lite.models.trunks import Trunk
    from llinet_lite.profiles import Profile

__all__ = [
    "ABLATIONS", "CORRESPONDENCE", "LLINET", "METHODS", "PAIRS_ONLY", "Embedded", "Inputs", "Items", "Plan",
    "Run", "activations", "build", "embed", "embedded", "fresh", "held_out", "inputs_of", "items_of", "judge",
    "look", "matching", "one_batch", "overfit", "pair_list", "plans", "publish", "train_or_load", "vectors",
    "watched",
]  # fmt: skip

HELD_OUT, PER_CLASS = 4, 40  # seen classes on which an epoch is chosen, and clips of each
WARM_RATE = 0.3  # of the learning rate, where a trained network goes on
IMPRINT = 2.0  # strength in the shortcut experiment: bursts of -39 dBFS
LONGEST = 4  # times the profile's epochs, for a small data set
PAIRS_ONLY = ("DAR", "ULSLVC", "SIR", "SCAN")  # rivals that know pairs, not labels
# Factors on the published learning rates, for runs of a dozen epochs: of 1, 3 and 10 the one with the highest
# mAP on held-out seen classes within three epochs (laptop, seed 0).
RATES = {"DAR": 10.0, "ULSLVC": 10.0, "SIR": 10.0, "SCAN": 10.0, "DSCMR": 3.0, "TIMAM": 3.0, "CMPM": 10.0}
# Where paper, released code and good practice disagree about LLINet, one thing each, beside "brief", LLINet
# with as few epochs: lesson 09. "baseline", without attention loss and gate, is the paper's: lesson 07.
ABLATIONS = {
    "brief": {},
    "baseline": {"attention": 0.0, "gate": "none"},
    "gate-none": {"gate": "none"},
    "gate-batch": {"gate": "batch"},
    "scale-1": {"scale": 1.0},
    "zero": {"same_class": "zero"},
    "all": {"same_class": "all"},
    "distinct": {"same_class": "distinct"},
    "bn-train": {"frozen_bn": "train"},
    "decay-image": {"decayed": "image"},
    "decay-tenth": {"decay": 0.1},
}


# ---- plans


@dataclass(frozen=True)
class Plan:
    """One training.

    Attributes
    ----------
    name : str
        Of its weights, as "avenet-all", "llinet", "cmpm".
    method : str
        Key of :data:`METHODS`.
    epochs : int
    options : dict
        Of the method, as gate="batch", same_class="all", softmax="twice"; `rate` is a factor on its learning
        rate.
    batches : dict
        Of its data. Correspondence: pairs ("all" or "sampled"), grid (seconds, or None: the shortcut),
        shuffled (control: every image has one fixed, wrong audio), blind (control: "image" or "audio" is
        switched off), imprint, view ("frame", "middle", "frames", "flow"). Retrieval: shuffled (labels of
        the audio permuted once), distinct (no class twice in a batch).
    start : str
        Name of the plan whose network is trained on; "": random weights.
    """

    name: str
    method: str
    epochs: int
    options: dict = field(default_factory=dict)
    batches: dict = field(default_factory=dict)
    start: str = ""

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"no method {self.method!r}: choose one of {', '.join(METHODS)}")

    @property
    def facts(self) -> dict:
        """What a checkpoint must agree with; a run may be prolonged."""
        return {key: value for key, value in asdict(self).items() if key != "epochs"}

    @property
    def pairs(self) -> str:
        """Which pairs of a batch a correspondence network decides on."""
        return self.batches.get("pairs", "all")

    @property
    def view(self) -> str:
        """What a correspondence network sees of a clip."""
        return self.batches.get("view", "frame")


def plans(profile: Profile, store: Store | None = None) -> dict[str, Plan]:
    """Return every plan of the lessons by name.

    Parameters
    ----------
    profile : Profile
        Its numbers of epochs. LLINet's rivals learn at multiples of their published rates where they have
        fewer than 30, see RATES.
    store : Store, optional
        One's own data: a small set has short epochs, so correspondence gets more of them, up to four times as
        many, to come nearer to the same number of steps.
    """
    times = 1
    if store is not None:
        usual = 2 * sum(row.count for row in SEEN)  # two images of each clip
        times = max(1, min(LONGEST, round(usual / len(store.images("train")))))
    rows = [
        *_l3net(profile, times),
        *_avenet(profile, times),
        *_avolnet(profile, times),
        *_retrieval(profile),
    ]
    return {plan.name: plan for plan in rows}


def _l3net(profile: Profile, times: int) -> list[Plan]:
    control, short = profile.epochs_control * times, profile.epochs_shortcut
    traced, warm = {"pairs": "sampled", "imprint": IMPRINT}, {"rate": WARM_RATE}
    naive = traced | {"grid": None}
    return [
        Plan("l3net-all", "L3-Net", profile.epochs * times),
        Plan("l3net-sampled", "L3-Net", profile.epochs_sampled * times, batches={"pairs": "sampled"}),
        Plan("l3net-shuffled", "L3-Net", control, batches={"shuffled": True}),
        Plan("l3net-deaf", "L3-Net", control, batches={"blind": "audio"}),
        Plan("l3net-naive", "L3-Net", short, warm, naive, start="l3net-all"),
        Plan("l3net-grid", "L3-Net", short, warm, traced, start="l3net-all"),
        Plan("l3net-ears", "L3-Net", short, {}, naive | {"blind": "image"}),
    ]


def _avenet(profile: Profile, times: int) -> list[Plan]:
    """AVE-Net, its control, the three that see motion or the middle frame of it, and those of lesson 09.

    Where the profile is small, the three go on from "avenet-all": a network of three dimensions does not
    learn from scratch in its budget.
    """
    short, brief = profile.epochs_motion, 3 * profile.epochs_audit // 2 * times
    warm = profile.motion_starts_warm
    rate, start = ({"rate": WARM_RATE}, "avenet-all") if warm else ({}, "")
    return [
        Plan("avenet-all", "AVE-Net", profile.epochs_ave * times),
        Plan("avenet-sampled", "AVE-Net", profile.epochs_sampled * times, batches={"pairs": "sampled"}),
        Plan("avenet-shuffled", "AVE-Net", profile.epochs_control * times, batches={"shuffled": True}),
        Plan("avenet-single", "AVE-Net", short, rate, {"view": "middle"}, start),
        Plan("avenet-mf", "AVE+MF", short, rate, {"view": "frames"}, start),
        Plan("avenet-of", "AVE+OF", short, rate, {"view": "flow"}, start),
        Plan("avenet-brief", "AVE-Net", brief),
        Plan("avenet-unsigned", "AVE-Net", brief, {"sign_init": False}),
        Plan("avenet-softmax-twice", "AVE-Net", brief, {"softmax": "twice"}),
        Plan("avenet-stride-1", "AVE-Net", brief, {"variant": "2017"}),
    ]


def _avolnet(profile: Profile, times: int) -> list[Plan]:
    control = profile.epochs_control * times
    return [
        Plan("avolnet-all", "AVOL-Net", profile.epochs_avol * times),
        Plan("avolnet-shuffled", "AVOL-Net", control, batches={"shuffled": True}),
    ]


def _retrieval(profile: Profile) -> list[Plan]:
    """LLINet, its control and its variants; the rivals, those that know pairs only also unmasked.

    SIR's own encoder costs five times as much as that of the others; below paper size it gets half the width,
    but eight channels at least.
    """
    solver = {"solver": "adam" if profile.epochs_llinet < 30 else "sgd"}
    long, brief = profile.epochs_llinet, profile.epochs_audit
    rows = [
        Plan("llinet", LLINET, long, solver),
        Plan("shuffled", LLINET, long, solver, {"shuffled": True}),
        Plan("matching", LLINET, long, solver | {"attention": 0.0}),
        Plan("vggish", LLINET, long, solver | {"audio": "vggish"}),
    ]
    for name, options in ABLATIONS.items():
        rows.append(
            Plan(name, LLINET, brief, solver | options, {"distinct": True} if name == "distinct" else {})
        )
    for method in RETRIEVAL:
        quick = profile.epochs_rivals < 30 and method in RATES
        options = {"rate": RATES[method]} if quick else {}
        if method == "SIR" and profile.width < 64:
            options |= {"width": max(8, profile.width // 2)}
        rows.append(Plan(method.lower(), method, profile.epochs_rivals, options))
        if method in PAIRS_ONLY:
            unmasked = options | {"same_class": "all"}
            rows.append(Plan(f"{method.lower()}-all", method, profile.epochs_rivals, unmasked))
    return rows


def build(
    plan: Plan,
    profile: Profile,
    seed: int,
    *,
    start: nn.Module | None = None,
    trunk: Trunk | None = None,
    ear: nn.Module | None = None,
    classes: int = 0,
) -> nn.Module:
    """Return a plan's method with fresh weights, which are a function of the seed alone.

    Parameters
    ----------
    plan : Plan
    profile : Profile
        Its width, and size of embeddings.
    seed : int
    start : Module, optional
        Correspondence: network to begin from, turned into the plan's where that differs.
    trunk : Trunk, optional
        Retrieval: the frozen image network.
    ear : Ear, optional
        Retrieval: what a plan with the option audio="vggish" hears through.
    classes : int
        Retrieval: number of training classes.
    """
    options = {name: value for name, value in plan.options.items() if name != "rate"}
    kind = METHODS[plan.method]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if plan.method in CORRESPONDENCE:
            how = {"softmax": options.pop("softmax", "once"), "pairs": plan.pairs}
            how |= {"learning_rate": profile.learning_rate, "weight_decay": profile.weight_decay}
            if start is None:
                network = kind(**({"variant": "2018", "width": profile.width} | options))
            elif isinstance(start, kind):
                network = kind(variant="2018", width=profile.width)
                network.load_state_dict(start.state_dict())
            else:
                network = kind.from_single_frame(start)
            return Correspondence(network, **how)
        sizes = {"width": profile.width, "size": profile.embedding}
        if plan.method == LLINET:
            own = {name: options.pop(name) for name in ("gate", "frozen_bn") if name in options}
            if options.pop("audio", "logmel") == "vggish":
                own["audio"], options["ear"] = image_head(ear.size, profile.embedding), ear
            return LLINetMethod(models.LLINet(trunk, **own, **sizes), **options)
        if "teacher" in kind.needs:
            sizes["teacher_classes"] = trunk.classes
        return kind(features=trunk.features, classes=classes, **(sizes | options))


def inputs_of(
    plan: Plan,
    profile: Profile,
    method: nn.Module | None = None,
    trunk: Trunk | None = None,
    *,
    augment=False,
) -> Inputs:
    """Return what a plan's method sees and hears; `trunk` for batches that bring images to it."""
    if plan.method in CORRESPONDENCE:
        rate, blind = profile.sample_rate, plan.batches.get("blind", "")
        seconds = profile.window / rate, profile.hop / rate
        return Inputs(
            LogSpectrogram(rate, *seconds, profile.n_fft, profile.frames), augment=augment, blind=blind
        )
    hearing = getattr(method, "ear", None) or LogMel(profile.sample_rate)
    return Inputs(hearing, trunk, method.needs, augment=augment)


# ---- batches


def training_pairs(plan: Plan, store: Store, profile: Profile, seed: int, split: str = "train", **more):
    """Return the pairs on which a correspondence network trains; `more` replaces what the plan says."""
    how = {"grid": 0.04, "imprint": 0.0, "view": "frame"}
    how |= {name: value for name, value in plan.batches.items() if name in how}
    how |= {"pairs": plan.pairs, "shuffle_pairs": plan.batches.get("shuffled", False)}
    how |= {"batch_size": profile.batch_size, "image_crop": profile.image_crop}
    return PairBatches(store, split, match=matching(store, split), seed=seed, **(how | more))


class TrainingBatches:
    """Class pairs for a retrieval method: its classes counted from 0, and the share of the training done.

    Parameters
    ----------
    pairs : ClassPairs
    classes : (K,) int, rising
        Labels of the store that take part; a batch's `label` is 0 to K - 1.
    epochs : int
        A batch's `progress` is the share of them that is done.
    seen : dict of str to array, optional
        Activations of the split's images, for pairs that read no images.
    """

    def __init__(self, pairs: ClassPairs, classes: Sequence[int], epochs: int = 1, seen: dict | None = None):
        self.pairs, self.classes, self.epochs = (
            pairs,
            torch.as_tensor(np.sort(classes), dtype=torch.int64),
            epochs,
        )
        self.seen = seen or {}

    def epoch(self, e: int) -> _Epoch:
        """The batches of epoch `e`."""
        return _Epoch(self, self.pairs.epoch(e), e)


class _Epoch:
    def __init__(self, whole: TrainingBatches, batches: Batches, number: int):
        self.whole, self.batches, self.number = whole, batches, number

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        size = self.batches.batch_size
        batch, row = self.batches[i], self.batches.rows.image[i * size : (i + 1) * size]
        batch |= {tap: torch.from_numpy(values[row]) for tap, values in self.whole.seen.items()}
        done = (self.number + i / len(self)) / self.whole.epochs
        label = torch.searchsorted(self.whole.classes, batch["label"])
        return batch | {"label": label, "progress": float(np.float32(done))}


def class_batches(
    plan: Plan,
    store: Store,
    profile: Profile,
    method: nn.Module,
    trunk: Trunk,
    classes: Sequence[int],
    seed: int,
) -> TrainingBatches:
    """Return the pairs on which a retrieval method trains, with activations where the profile keeps them."""
    keep = profile.keep_activations and plan.options.get("frozen_bn", "eval") == "eval"
    distinct, shuffled = plan.batches.get("distinct", False), plan.batches.get("shuffled", False)
    pairs = ClassPairs(
        store, "train", batch_size=min(profile.batch_size, len(classes)) if distinct else profile.batch_size,
        image_crop=None if keep else profile.llinet_crop, seconds=profile.llinet_seconds, classes=classes,
        distinct=distinct, shuffle_labels=shuffled, seed=seed,
    )  # fmt: skip
    seen = activations(trunk, store, "train", crop=profile.llinet_crop, taps=method.needs) if keep else None
    return TrainingBatches(pairs, classes, plan.epochs, seen)


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
    """What is searched after every epoch: "mAP", which chooses it, and "unseen" -> (split, items)."""
    out = held_out(store, seed)
    parts = {"mAP": ("train", items_of(store, "train", classes=out, most=PER_CLASS))}
    if "unseen" in store.splits:
        parts["unseen"] = ("unseen", items_of(store, "unseen", most=PER_CLASS // 2))
    return parts


# ---- judging


def pair_list(
    store: Store,
    split: str,
    profile: Profile,
    *,
    grid: float | None = 0.04,
    imprint=0.0,
    view="frame",
    seed=0,
) -> Batches:
    """Return the fixed, balanced list of pairs of a split; half of them match.

    Parameters
    ----------
    grid : float or None
        None: naive mismatched audio, which starts anywhere.
    imprint : float
        Strength of the recorder imprint in the audio.
    view : {"frame", "middle", "frames", "flow"}
    """
    return evaluation_pairs(
        store, split, batch_size=at_once(view), image_crop=profile.image_crop, match=matching(store, split),
        grid=grid, imprint=imprint, seed=seed, view=view,
    )  # fmt: skip


@torch.inference_mode()
def judge(method: Correspondence, inputs: Inputs, pairs: Batches) -> np.ndarray:
    """Return the probability of "corresponds" for every pair of a list, (n,) float, in float32 arithmetic."""
    method.eval()
    at, answers = next(method.parameters()).device, []
    inputs = inputs.to(at)
    with float32_arithmetic(at):
        for batch in pairs:
            image, audio = inputs({key: value.to(at) for key, value in batch.items()})
            logits = method.network.pairs(method.embed_image(image), method.embed_audio(audio))  # (B, 2)
            answers.append(torch.softmax(logits, dim=1)[:, 1].cpu())
    return torch.cat(answers).numpy()


# ---- runs


@dataclass(frozen=True)
class Run:
    """A trained method and how it came about.

    Attributes
    ----------
    plan : Plan
    profile : Profile
    seed : int
    method : Module
        In eval mode.
    inputs : Inputs
        What it sees and hears when it is judged.
    curve : list of dict
        After each epoch: the metrics of its validation, the training loss and its parts.
    chosen : int
        Epoch whose weights these are, from 0.
    minutes : float
        Wall time of the training.
    loaded : bool
        Whether packaged weights were loaded.
    trunk : Trunk or None
        Of a retrieval method.
    calibration : list of (float, float)
        AVE-Net: slope and threshold of the calibration layer before training and after each epoch.
    """

    plan: Plan
    profile: Profile
    seed: int
    method: nn.Module
    inputs: Inputs
    curve: list[dict]
    chosen: int
    minutes: float
    loaded: bool
    trunk: Trunk | None = None
    calibration: list = field(default_factory=list)

    @property
    def network(self) -> nn.Module:
        """The network of the method: L3Net, AVENet, LLINet, ...; of a rival the method itself."""
        return getattr(self.method, "network", self.method)


_NOT_IN_CURVE = ("epoch", "step", "lr", "samples_per_second", "seconds", "bad_steps")


def train_or_load(
    workspace: Workspace,
    plan: Plan,
    seed: int = 0,
    *,
    trunk: Trunk | None = None,
    vggish: models.VGGish | None = None,
) -> Run:
    """Load the packaged weights of a plan, or train it where there are none.

    The best epoch of a correspondence network is chosen on the validation pairs, that of a retrieval method
    on seen classes that are held out of its training, other ones for every seed. The unseen classes take no
    part in any choice.

    Parameters
    ----------
    workspace : Workspace
    plan : Plan
    seed : int
        Packaged weights are those of seed 0.
    trunk, vggish : Trunk, VGGish, optional
        What retrieval methods stand on; by default the workspace's own, see
        :mod:`llinet_lite.experiments.standins`.
    """
    profile, paired = workspace.profile, plan.method in CORRESPONDENCE
    store, ear = workspace.store(("train", "val")), None
    trunk = None if paired else trunk or chosen_trunk(workspace)
    if plan.options.get("audio", "logmel") == "vggish":
        ear = models.Ear(vggish or chosen_vggish(workspace), store.sample_rate)
    if seed == 0 and (known := _loaded(workspace, plan, trunk, ear)):
        return known
    start, length = None, str(plan.epochs)
    if plan.start:
        first = plans(profile, None if workspace.is_world else store)[plan.start]
        start = train_or_load(workspace, first, seed).network
        length = f"{first.epochs}+{plan.epochs}"
    if paired:
        task = _correspondence(workspace, plan, seed, start)
    else:
        task = _class_pairs(workspace, plan, seed, trunk, ear)
    print(f"training {plan.name}, seed {seed}: {plan.epochs} epochs", flush=True)
    history = fit(
        task.method,
        task.inputs,
        task.batches,
        epochs=plan.epochs,
        run_dir=workspace.training_dir(f"{plan.name}{task.mark}-{length}-{seed}"),
        seed=seed,
        rate=plan.options.get("rate", 1.0),
        validate=task.validate,
        select=task.select,
        settings={"data": store.content_hash, "plan": plan.facts} | task.facts,
    )
    history.load_best(task.method)
    restore(task.method, packaged(task.method))  # what is judged is what is published
    curve = [
        {name: round(float(value), 4) for name, value in epoch.items() if name not in _NOT_IN_CURVE}
        for epoch in history.epochs
    ]
    layer = [(epoch["slope"], epoch["threshold"]) for epoch in history.epochs if "slope" in epoch]
    return Run(
        plan, profile, seed, task.method.eval(), inputs_of(plan, profile, task.method, trunk), curve,
        history.best["epoch"], history.minutes, False, trunk, task.before + layer if layer else [],
    )  # fmt: skip


def _correspondence(workspace: Workspace, plan: Plan, seed: int, start: nn.Module | None) -> SimpleNamespace:
    """What `fit` needs to train a correspondence network."""
    store, profile = workspace.store(), workspace.profile
    if plan.view in ("frames", "flow"):
        workspace.motion(("train", "val"))
    method = build(plan, profile, seed, start=start)
    how = {"grid": 0.04, "imprint": 0.0, "view": "frame"}
    how |= {name: value for name, value in plan.batches.items() if name in how}
    val, judged = pair_list(store, "val", profile, **how), inputs_of(plan, profile)
    first, calibrated = start or method.network, isinstance(method.network, models.AVENet)

    def validate(method: Correspondence) -> dict[str, float]:
        found = {"accuracy": float(((judge(method, judged, val) > 0.5) == val.rows.match).mean())}
        if calibrated:
            found |= {"slope": method.network.slope, "threshold": method.network.threshold}
        return found

    return SimpleNamespace(
        method=method,
        inputs=inputs_of(plan, profile, augment=True),
        batches=training_pairs(plan, store, profile, seed),
        validate=validate,
        select="accuracy",
        facts={"batch_size": profile.batch_size},
        mark="",
        before=[(first.slope, first.threshold)] if calibrated else [],
    )


def _class_pairs(workspace: Workspace, plan: Plan, seed: int, trunk: Trunk, ear) -> SimpleNamespace:
    """What `fit` needs to train LLINet or a rival; "unseen" shows what choosing by it would give."""
    store, profile = workspace.store(), workspace.profile
    out = held_out(store, seed)
    classes = np.setdiff1d(seen_labels(store), out)
    method = build(plan, profile, seed, trunk=trunk, ear=ear, classes=len(classes))
    batches = class_batches(plan, store, profile, method, trunk, classes, seed)
    parts = watched(store, seed)

    def validate(method: nn.Module) -> dict[str, float]:
        both = {
            name: embedded(method, trunk, store, split, profile, items).retrieval()
            for name, (split, items) in parts.items()
        }
        return {
            name: sum(one.mean_average_precision for one in each.values()) / 2 for name, each in both.items()
        }

    direct = None if batches.seen else own_trunk(method, trunk)
    facts = {
        "batch_size": batches.pairs.batch_size,
        "classes": [int(c) for c in classes],
        "trunk": trunk.title,
    }
    return SimpleNamespace(
        method=method,
        inputs=inputs_of(plan, profile, method, direct, augment=True),
        batches=batches,
        validate=validate,
        select="mAP",
        facts=facts,
        mark=f"-{trunk.name}-{fingerprint(trunk)}" + (f"-{fingerprint(ear.vggish)}" if ear else ""),
        before=[],
    )


# ---- packaged weights


def trained_part(method: nn.Module) -> dict[str, Tensor]:
    """Return the state of a retrieval method without frozen trunk and ear, which are kept once for all."""
    state = method.state_dict()
    return {k: value for k, value in state.items() if ".trunk." not in k and not k.startswith("ear.")}


def packaged(method: nn.Module) -> dict[str, Tensor]:
    """Return a method's state as it is published: correspondence in 16 bits, retrieval in 8."""
    if isinstance(method, Correspondence):
        return packed(method.network.state_dict(), 16)
    return packed(trained_part(method))


def restore(method: nn.Module, state: dict[str, Tensor]) -> None:
    """Put what :func:`packaged` returned into a method."""
    if isinstance(method, Correspondence):
        method.network.load_state_dict(unpacked(state))
    else:
        frozen = {
            name: value for name, value in method.state_dict().items() if name not in trained_part(method)
        }
        method.load_state_dict(frozen | unpacked(state))


def grown_on(trunk: Trunk | None, ear: nn.Module | None = None) -> str:
    """Return titles and marks of the frozen networks: a method that grew on them fits no others."""
    mark = "" if trunk is None else f"{trunk.title} ({fingerprint(trunk)})"
    return mark if ear is None else f"{mark}; {ear.title} ({fingerprint(ear.vggish)})"


def _loaded(workspace: Workspace, plan: Plan, trunk: Trunk | None, ear) -> Run | None:
    """Return the run of the packaged weights, or None where there are none that fit."""
    from safetensors.torch import load_file

    path = workspace.weights(plan.name)
    if path is None:
        return None
    card, profile = workspace.card(path), workspace.profile
    now = (asdict(plan), WORLD_VERSION, WEIGHTS_VERSION, grown_on(trunk, ear))
    if (card["plan"], card["world"], card["weights_version"], card["trunk"]) != now:
        print(f"{path.name} belongs to another plan, world or trunk, so this trains anew", flush=True)
        return None
    method = build(plan, profile, 0, trunk=trunk, ear=ear, classes=card["classes"])
    restore(method, load_file(path))
    method = method.eval().to(device())
    inputs = inputs_of(plan, profile, method, trunk)
    calibration = [tuple(pair) for pair in card.get("calibration", [])]
    told = card["curve"], card["chosen"], card["minutes"]
    return Run(plan, profile, 0, method, inputs, *told, True, trunk, calibration)


def publish(workspace: Workspace, run: Run, results) -> None:
    """Put a method of seed 0 that was trained here into the package, if the workspace publishes."""
    if run.loaded or run.seed:
        return
    store, calibration = workspace.store(), {"calibration": run.calibration} if run.calibration else {}
    workspace.publish(
        run.plan.name,
        packaged(run.method),
        seed=run.seed,
        results=results,
        plan=asdict(run.plan),
        world=WORLD_VERSION,
        weights_version=WEIGHTS_VERSION,
        trunk=grown_on(run.trunk, getattr(run.method, "ear", None)),
        classes=0 if run.trunk is None else len(seen_labels(store)) - len(held_out(store, 0)),
        curve=run.curve,
        chosen=run.chosen,
        minutes=run.minutes,
        **calibration,
    )


# ---- one batch learned by heart


def one_batch(
    workspace: Workspace, trunk: Trunk, *, split: str, size: int, distinct: bool, seed: int = 0
) -> dict[str, Tensor]:
    """Return one batch of class pairs with the activations that LLINet needs, sorted by class.

    Parameters
    ----------
    workspace : Workspace
    trunk : Trunk
    split : str
    size : int
        Pairs; at most the number of seen classes if `distinct`.
    distinct : bool
        No class twice.
    seed : int
    """
    store, profile, taps = workspace.store(), workspace.profile, LLINetMethod.needs
    classes, crop, at = seen_labels(store), profile.llinet_crop, next(trunk.parameters()).device
    size = min(size, len(classes)) if distinct else min(size, len(store.images(split)))
    keep = profile.keep_activations
    pairs = ClassPairs(
        store, split, batch_size=size, image_crop=None if keep else crop, distinct=distinct,
        seconds=profile.llinet_seconds, classes=classes, seed=seed,
    )  # fmt: skip
    batch = TrainingBatches(pairs, classes).epoch(0)[0]
    del batch["progress"]
    if keep:  # of these images only: a whole split takes half a minute
        rows = pairs.epoch(0).rows.image[:size]
        kept = activations(trunk, store, split, crop=crop, taps=taps, rows=rows)
        batch |= {tap: torch.from_numpy(np.array(values)) for tap, values in kept.items()}
    else:
        batch = {name: value.to(at) for name, value in batch.items()}
        batch |= look(trunk, to_image(batch.pop("image")), taps)
    order = batch["label"].argsort(stable=True)
    return {name: value[order] for name, value in batch.items()}


def fresh(
    workspace: Workspace, plan: Plan, seed: int = 0, *, trunk: Trunk | None = None, vggish=None
) -> tuple[nn.Module, Inputs]:
    """Return a plan's method with fresh weights, for all seen classes, and its inputs."""
    store, profile = workspace.store(), workspace.profile
    if plan.method in CORRESPONDENCE:
        return build(plan, profile, seed).to(device()), inputs_of(plan, profile).to(device())
    ear = None if vggish is None else models.Ear(vggish, store.sample_rate)
    method = build(plan, profile, seed, trunk=trunk, ear=ear, classes=len(seen_labels(store))).to(device())
    return method, inputs_of(plan, profile, method).to(device())


def overfit(
    workspace: Workspace,
    plan: Plan,
    *,
    seed: int = 0,
    size: int = 32,
    steps: int = 60,
    trunk: Trunk | None = None,
    vggish: models.VGGish | None = None,
) -> tuple[list[float], float]:
    """Learn one batch of validation pairs by heart: a method and a loss that are wired rightly reach zero.

    Returns
    -------
    losses : list of float
        Before each step.
    right : float
        After the last step, share of right decisions on the pairs; of a retrieval method, whose pairs are of
        distinct classes, share of the images whose nearest audio is their own.
    """
    method, inputs = fresh(workspace, plan, seed, trunk=trunk, vggish=vggish)
    if plan.method in CORRESPONDENCE:
        store = workspace.store()
        size = min(size, len(store.images("val")))
        pairs = training_pairs(plan, store, workspace.profile, seed, "val", batch_size=size)
        batch = pairs.epoch(0)[0]
    else:
        batch = one_batch(workspace, trunk, split="val", size=size, distinct=True, seed=seed)
    losses = overfit_one_batch(method, inputs, batch, steps=steps)
    batch = {name: value.to(device()) for name, value in batch.items()}
    with torch.no_grad():
        image, audio = inputs(batch)
        if plan.method in CORRESPONDENCE:
            return losses, float(method.loss((image, audio), batch)[1]["train_accuracy"])
        scores = method.scores(method.embed_image(image), method.embed_audio(audio)).float().cpu()
    return losses, float((scores.argmax(1) == torch.arange(len(scores))).float().mean())

"""The training experiments of lessons 01 to 03, by network family and name.

Notebook: 01, 02, 03
"""

from __future__ import annotations

from llinet_lite.avc.task import Plan
from llinet_lite.data.store import Store
from llinet_lite.world.instruments import SEEN

# Accuracy on AudioSet-Instruments in Objects that Sound, by family and plan. "naive" and "grid" of L3-Net
# stand beside AVE-Net with and without the shortcut, the only network the paper gives these numbers for.
PAPER = {
    "l3net": {"sampled": 0.808, "naive": 0.876, "grid": 0.819},
    "avenet": {"sampled": 0.819, "mf": 0.847, "of": 0.849},
    "avolnet": {"sampled": 0.819},
}

IMPRINT = 2.0  # strength in the shortcut experiment: bursts of -39 dBFS
LONGEST = 4  # times the profile's epochs, for a small data set


def plans(settings, store: Store | None = None, family: str = "l3net") -> dict[str, Plan]:
    """Return the experiments of a family of networks by name.

    Parameters
    ----------
    settings : Profile
        Its epochs are those of the built-in world.
    store : Store, optional
        One's own data: a small set has short epochs, so it gets more of them, up to four times as
        many, to come nearer to the same number of steps.
    family : {"l3net", "avenet", "avolnet"}
    """
    times = 1
    if store is not None:
        usual = 2 * sum(row.count for row in SEEN)  # two pictures of each clip
        times = max(1, min(LONGEST, round(usual / len(store.images("train")))))
    rows = {"l3net": _l3net, "avenet": _avenet, "avolnet": _avolnet}[family](settings, times)
    return {plan.name: plan for plan in rows}


def _l3net(settings, times: int) -> tuple[Plan, ...]:
    control, short = settings.epochs_control * times, settings.epochs_shortcut
    return (
        Plan("all", "all", settings.epochs * times),
        Plan("sampled", "sampled", settings.epochs_sampled * times),
        Plan("shuffled", "all", control, shuffled=True),
        Plan("deaf", "all", control, blind="sound"),
        Plan("naive", "sampled", short, grid=None, imprint=IMPRINT, start="all"),
        Plan("grid", "sampled", short, imprint=IMPRINT, start="all"),
        Plan("ears", "sampled", short, grid=None, imprint=IMPRINT, blind="image"),
    )


def _avenet(settings, times: int) -> tuple[Plan, ...]:
    """AVE-Net, its control, and the three that see motion or, for comparison, the middle frame of it.

    Where the profile is small, these three go on from "all": a network of three dimensions does not
    learn from scratch in its budget.
    """
    short, start = settings.epochs_motion, "all" if settings.motion_starts_warm else ""
    return (
        Plan("all", "all", settings.epochs_ave * times, network="avenet"),
        Plan("sampled", "sampled", settings.epochs_sampled * times, network="avenet"),
        Plan("shuffled", "all", settings.epochs_control * times, shuffled=True, network="avenet"),
        Plan("single", "all", short, start=start, network="avenet", view="middle"),
        Plan("mf", "all", short, start=start, network="avenet-mf", view="frames"),
        Plan("of", "all", short, start=start, network="avenet-of", view="flow"),
        *_changed(settings, times),
    )


def _changed(settings, times: int) -> tuple[Plan, ...]:
    """AVE-Net trained briefly, and what public code does otherwise, one thing each: lesson 09.

    Half as long again as the LLINets there, which stand on a trained trunk.
    """
    usual = {"pairs": "all", "epochs": 3 * settings.epochs_audit // 2 * times, "network": "avenet"}
    return (
        Plan("brief", **usual),
        Plan("unsigned", **usual, sign_init=False),
        Plan("softmax-twice", **usual, softmax="twice"),
        Plan("stride-1", **usual, variant="2017"),
    )


def _avolnet(settings, times: int) -> tuple[Plan, ...]:
    return (
        Plan("all", "all", settings.epochs_avol * times, network="avolnet"),
        Plan("shuffled", "all", settings.epochs_control * times, shuffled=True, network="avolnet"),
    )

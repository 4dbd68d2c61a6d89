"""Which networks the zero-shot lessons train, and with what.

Notebook: 05, 06
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import pandas as pd

from llinet_lite.rivals import RETRIEVAL

OURS = "LLINet"


@dataclass(frozen=True)
class Plan:
    """One training experiment.

    Attributes
    ----------
    name : str
        Unique; lower-case letters, digits and dashes.
    method : str
        "LLINet" or a key of :data:`llinet_lite.rivals.RETRIEVAL`.
    epochs : int
    rate : float
        Factor on the published learning rate.
    options : dict
        Arguments of the method, as `same_class` or `gate`.
    shuffled : bool
        Control: sounds whose labels were permuted once.
    distinct : bool
        No class twice in a batch.
    """

    name: str
    method: str
    epochs: int
    rate: float = 1.0
    options: dict = field(default_factory=dict)
    shuffled: bool = False
    distinct: bool = False

    def __post_init__(self):
        if self.method not in (OURS, *RETRIEVAL):
            raise ValueError(f"no method {self.method!r}: choose one of {', '.join((OURS, *RETRIEVAL))}")

    @property
    def hears(self) -> str:
        """What sounds are heard through: "logmel", or "vggish" for its frozen features."""
        return self.options.get("audio", "logmel")

    @property
    def facts(self) -> dict:
        """What a checkpoint or reference weights of this plan must agree with."""
        return asdict(self)


PAIRS_ONLY = ("DAR", "ULSLVC", "SIR", "SCAN")  # rivals that know pairs, not labels
# Method -> factor on its published learning rate, for runs of a dozen epochs: of 1, 3 and 10 the one with the
# highest mAP on held-out seen classes within three epochs (laptop, seed 0).
RATES = {"DAR": 10.0, "ULSLVC": 10.0, "SIR": 10.0, "SCAN": 10.0, "DSCMR": 3.0, "TIMAM": 3.0, "CMPM": 10.0}


# Rows of the tables of lessons 06 to 08, and the control.
VARIANTS = {
    "llinet": {},
    "shuffled": {},
    "matching": {"attention": 0.0},
    "vggish": {"audio": "vggish"},
}
# What paper, released code and good practice disagree about, one thing each, beside "brief", LLINet with as
# few epochs as they have: lesson 09. "baseline", without attention loss and gate, is the paper's: lesson 07.
CHANGED = {
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


def plans(settings) -> dict[str, Plan]:
    """Return every plan of the lessons 05 and 06 under a profile, by name.

    "llinet" and its control "shuffled"; "matching", without the attention loss, and "vggish", which hears
    through VGGish; what CHANGED changes of LLINet; and one plan per rival, those that know pairs only with a
    second one, unmasked.

    SIR's own encoder costs five times as much as that of the others; below paper size it gets half the width,
    but eight channels at least.

    Parameters
    ----------
    settings : Profile
        Its numbers of epochs. Where they are fewer than 30, learning rates are multiplied, see RATES.
    """
    short = settings.epochs_llinet < 30
    solver = {"solver": "adam" if short else "sgd"}
    found = {}
    for name, options in (VARIANTS | CHANGED).items():
        control = {"shuffled": name == "shuffled", "distinct": name == "distinct"}
        epochs = settings.epochs_audit if name in CHANGED else settings.epochs_llinet
        found[name] = Plan(name, OURS, epochs, 1.0, solver | options, **control)
    for method in RETRIEVAL:
        rate = RATES.get(method, 1.0) if settings.epochs_rivals < 30 else 1.0
        name = method.lower()
        own = {"width": max(8, settings.width // 2)} if method == "SIR" and settings.width < 64 else {}
        found[name] = Plan(name, method, settings.epochs_rivals, rate, own)
        if method in PAIRS_ONLY:
            unmasked = own | {"same_class": "all"}
            found[f"{name}-all"] = Plan(f"{name}-all", method, settings.epochs_rivals, rate, unmasked)
    return found


def table_plans(known: dict[str, Plan], *, unmasked: bool = False) -> dict[str, Plan]:
    """Return the plans of Table 1 by the name of the row, in the order of the paper.

    Parameters
    ----------
    known : dict of str to Plan
        As :func:`plans` returns them.
    unmasked : bool
        Add those rivals that know pairs only as published, without a mask.
    """
    rows = {method: known[method.lower()] for method in RETRIEVAL} | {OURS: known["llinet"]}
    if unmasked:
        rows |= {f"{method}, unmasked": known[f"{method.lower()}-all"] for method in PAIRS_ONLY}
    return rows


def plans_frame(known: dict[str, Plan]) -> pd.DataFrame:
    """One row per plan: method, epochs, factor on the published learning rate, options."""
    rows = [
        (
            plan.name,
            plan.method,
            plan.epochs,
            f"{plan.rate:g}",
            ", ".join(f"{k}={v}" for k, v in plan.options.items()),
        )
        for plan in known.values()
    ]
    columns = ["plan", "method", "epochs", "learning rate x", "options"]
    return pd.DataFrame(rows, columns=columns).set_index("plan")

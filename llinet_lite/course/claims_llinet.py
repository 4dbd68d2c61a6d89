"""What *Look, Listen and Infer* claims, and good practice: sentences and comparisons.

Notebook: 06, 07, 08, 09
"""

from __future__ import annotations

from itertools import pairwise

from .claim import Check, Claim, each

RIVALS = ("DAR", "ULSLVC", "SIR", "SCAN", "DSCMR", "TIMAM", "CMPM", "CME")
NAMERS = ("LLINet (VGGish)", "SAE", "LLINet", "RelationNet", "LDE", "DCN")  # in the paper's order
MAPPERS = ("LLINet", "Baseline+AM", "AVOL-Net", "Baseline")  # in the paper's order
PROTOCOLS = ("mIoU", "mIoU as released")


def _first(direction: str) -> tuple[Check, ...]:
    """LLINet above every rival, in R@1 and in mAP."""
    names = [f"06 {measure} {direction}, " for measure in ("R@1", "mAP")]
    return tuple(Check(name + "LLINet", name + rival) for name in names for rival in RIVALS)


def _order(template: str, names: tuple[str, ...]) -> tuple[Check, ...]:
    """Every name above the next one."""
    return tuple(Check(template.format(a), template.format(b)) for a, b in pairwise(names))


INFER = (
    Claim(
        "Of classes never trained on, LLINet finds sounds for pictures and pictures for sounds: better than "
        "guessing, and than a LLINet trained on shuffled labels.",
        "06", "R@1 41.1 / 38.3, mAP 49.3 / 31.2",
        "R@1 {06 R@1 I2A, LLINet}, {06 R@1 A2I, LLINet}; mAP {06 mAP I2A, LLINet}, {06 mAP A2I, LLINet}",
        tuple(
            Check(f"06 {measure} {way}, LLINet", second)
            for measure in ("R@1", "mAP")
            for way in ("I2A", "A2I")
            for second in ("chance", f"06 {measure} {way}, LLINet, shuffled labels")
        ),
        "The control shares everything with LLINet but the truth; the lesson also permutes whole classes.",
    ),
    *(
        Claim(
            f"LLINet is first of nine methods where a {asks} asks.",
            "06", paper, f"R@1 {{06 R@1 {way}, LLINet}}, mAP {{06 mAP {way}, LLINet}}", _first(way),
            "Eight rivals, two measures; one trunk, one protocol, one audio encoder for all but SIR; epochs "
            "chosen on held-out seen classes.",
        )
        for asks, way, paper in (
            ("picture", "I2A", "R@1 41.1 (next 28.9), mAP 49.3 (next 39.3)"),
            ("sound", "A2I", "R@1 38.3 (next 30.8), mAP 31.2 (next 27.4)"),
        )
    ),
    Claim(
        "Pictures are the better question: LLINet's numbers are higher where a picture asks.",
        "06", "mAP 49.3 and 31.2, R@1 41.1 and 38.3",
        "mAP {06 mAP I2A, LLINet} and {06 mAP A2I, LLINet}, R@1 {06 R@1 I2A, LLINet} and {06 R@1 A2I, "
        "LLINet}",
        tuple(Check(f"06 {measure} I2A, LLINet", f"06 {measure} A2I, LLINet") for measure in ("mAP", "R@1")),
        "The released routine exchanges the names of the two mAPs, so the published order may be the "
        "reverse.",
    ),
    Claim(
        "The attention loss makes the maps better: LLINet above Baseline+AM.",
        "07", "36.8 and 32.3 mIoU",
        "{07 mIoU, LLINet} and {07 mIoU, Baseline+AM}; as released {07 mIoU as released, LLINet} and {07 "
        "mIoU as released, Baseline+AM}",
        tuple(Check(f"07 {p}, LLINet", f"07 {p}, Baseline+AM") for p in PROTOCOLS),
        "Without that loss no sound takes part in the map, which is then the gate.",
    ),
    Claim(
        "The order of the ablation: LLINet, Baseline+AM, AVOL-Net, Baseline.",
        "07", "36.8, 32.3, 26.7, 24.1 mIoU", each("07 mIoU, {}", *MAPPERS), _order("07 mIoU, {}", MAPPERS),
        "How the Baseline makes a map is not stated; ours is the mean over the channels of a trunk that was "
        "trained on our instruments.",
    ),
    Claim(
        "LLINet's maps are more than a disc in the middle, and they use the sound.",
        "07", "-", "{07 mIoU, LLINet}, disc {07 mIoU, centre disc}; own minus another class's sound "
        "{07 mIoU, LLINet minus shuffled sound}",
        (
            Check("07 mIoU, LLINet", "07 mIoU, centre disc"),
            Check("07 mIoU, LLINet minus shuffled sound", 0.0),
        ),
        "The paper shows neither row; without them a localization number says little.",
    ),
    Claim(
        "In a picture of two unseen instruments LLINet's heat follows the sound.",
        "07", "shown in pictures", "moves in {07 LLINet: duets: moves}, nearer in {07 LLINet: duets: "
        "nearer to it}",
        (Check("07 LLINet: duets: moves", 0.25), Check("07 LLINet: duets: nearer to it", 0.5)),
        "A coin moves rightly in 25 % and is nearer in 50 %; a map that never moves is nearer in half of "
        "the cases.",
    ),
    Claim(
        "LLINet names pictures of unseen classes, and seen and unseen together, better than guessing.",
        "08", "acc 56.7, hm 50.1", "acc {08 acc, LLINet}, hm {08 hm (gate), LLINet}",
        (Check("08 acc, LLINet"), Check("08 hm (gate), LLINet")),
        "Prototypes come from the other half of the test clips; the lesson also links the classes at random.",
    ),
    Claim(
        "The order in zero-shot accuracy: LLINet (VGGish), SAE, LLINet, Relation Net, LDE, DCN.",
        "08", "62.2, 57.7, 56.7, 55.4, 51.7, 29.8", each("08 acc, {}", *NAMERS), _order("08 acc, {}", NAMERS),
        "The public weights of VGGish are not at hand; a stand-in, trained to tag the seen classes, hears "
        "for it.",
    ),
    Claim(
        "Ears trained on millions of videos help: LLINet (VGGish) above LLINet.",
        "08", "acc 62.2 and 56.7, hm 51.9 and 50.1",
        "acc {08 acc, LLINet (VGGish)} and {08 acc, LLINet}, hm {08 hm (gate), LLINet (VGGish)} and {08 hm "
        "(gate), LLINet}",
        tuple(Check(f"08 {m}, LLINet (VGGish)", f"08 {m}, LLINet") for m in ("acc", "hm (gate)")),
        "With the stand-in the claim itself is not tested: these ears heard our seen classes only.",
    ),
    Claim(
        "Behind one gate LLINet has the best harmonic mean of seen and unseen classes.",
        "08", "50.1; DCN 33.7, LDE 48.5, Relation Net 48.0, SAE 48.1",
        each("08 hm (gate), {}", "LLINet", "DCN", "LDE", "RelationNet", "SAE"),
        tuple(
            Check("08 hm (gate), LLINet", f"08 hm (gate), {rival}")
            for rival in ("DCN", "LDE", "RelationNet", "SAE")
        ),
        "Every method gets the same gate, its threshold chosen on held-out seen classes.",
    ),
)  # fmt: skip


def _costs(sentence: str, differ: str, key: str, why: str, metrics=("mAP, seen", "mAP, unseen")) -> Claim:
    """Doing it the other way lowers the number; the measured effect is that way minus ours."""
    names = [f"09 {key}, {metric}" for metric in metrics]
    here = "; ".join(f"{metric} {{{name}}}" for metric, name in zip(metrics, names, strict=True))
    return Claim(sentence, "09", differ, here, tuple(Check(0.0, name) for name in names), why)


def _raises(sentence: str, differ: str, why: str, *names: str) -> Claim:
    """Doing it the other way raises the number."""
    return Claim(
        sentence, "09", differ, each("09 {}", *names), tuple(Check(f"09 {n}", 0.0) for n in names), why
    )


PRACTICE = (
    Claim(
        "Every pair of a batch is a decision, and that is worth more than one sound per picture.",
        "01", "paper: one", "L3-Net {01 AVC accuracy, all} and {01 AVC accuracy, sampled}; AVE-Net "
        "{02 AVC accuracy, all} and {02 AVC accuracy, sampled}",
        tuple(Check(f"{n} AVC accuracy, all", f"{n} AVC accuracy, sampled") for n in ("01", "02")),
        "At the budget of a laptop; epochs differ by the plans of the lessons.",
    ),
    _costs(
        "The factor on the cosines belongs to the method: without it LLINet learns less.",
        "paper: 1; code: 10", "scale-1", "A cosine ends at 1, so a softmax over many stays nearly flat.",
    ),
    _costs(
        "A gate whose softmax runs over the batch costs accuracy.",
        "paper: over positions; code: over the batch", "gate-batch",
        "An embedding then depends on the pictures beside it, at test time too.",
    ),
    _costs(
        "A frozen trunk must be in evaluation mode.",
        "paper: not stated; code: train mode", "bn-train", "Weights stand still, batch statistics do not.",
    ),
    _costs(
        "What is masked must be left out of the softmax: a 0 is no mask.",
        "paper: 0; code: minus infinity", "zero", "exp(0) = 1 stays in the denominator.",
    ),
    _costs(
        "Other pairs of the same class are no wrong answers.",
        "paper and code: masked", "all", "Pairs are made by class, so their sounds fit as well.",
    ),
    _costs(
        "The attention loss helps retrieval, too.",
        "paper: both losses; code: matching alone", "attention",
        "The released command for retrieval trains without it.",
    ),
    _costs(
        "AVE-Net's calibration layer must be given its start, or its space is of no use for search.",
        "paper: near = match; public code: by chance", "unsigned",
        "The default start had a slope near zero, and in this run the right sign: three epochs test the size "
        "of the start, and not a wrong sign.",
        ("nDCG@30, im-aud",),
    ),
    _costs(
        "A softmax inside the network and again in the loss costs accuracy.",
        "paper: once; public code: twice", "softmax-twice",
        "The loss then cannot fall below 0.313 nats, however right the network is.", ("AVC accuracy",),
    ),
    _raises(
        "What is chosen on the test set raises the number: threshold and epoch.",
        "paper: not stated; code: test set",
        "Nothing is learned differently; only the printed number moves.", "k-on-test, mIoU, unseen",
        "epoch-on-test, mAP, unseen",
    ),
    _raises(
        "Masks in which every touched cell counts raise mIoU.",
        "paper: not stated; code: so, by a library's default", "The truth itself has changed, for all "
        "methods alike.",
        "mask-resize, mIoU, unseen",
    ),
    _raises(
        "Prototypes that heard the test clips raise zero-shot accuracy.",
        "paper: sounds of the class; code: the test clips'",
        "Each picture is then judged by a prototype that holds its own sound.", "prototypes-test, acc, "
        "unseen",
    ),
)  # fmt: skip

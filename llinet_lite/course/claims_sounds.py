"""What *Look, Listen and Learn* and *Objects that Sound* claim, as far as the course meets it.

Notebook: 01, 02, 03
"""

from __future__ import annotations

from .claim import Check, Claim, each

CROSS, WITHIN = ("im-aud", "aud-im"), ("im-im", "aud-aud")
AVE, L3, CCA = "AVE-Net", "L3-Net", "L3-Net + CCA, paper"


def _ndcg(direction: str, method: str) -> str:
    return f"02 nDCG@30 exponential, {direction}, {method}"


LEARN = (
    Claim(
        "Whether a picture and a sound belong together can be learned without a label.",
        "01", "78 / 74; 80.8 in *Objects that Sound*",
        "L3-Net {01 AVC accuracy, all}",
        (Check("01 AVC accuracy, all"),),
        "Trained with every pair of a batch as a decision; controls with shuffled pairs and with silence "
        "stand beside it in the lesson.",
    ),
    Claim(
        "One matched or mismatched sound per picture, as published, is enough to learn it.",
        "01", "80.8 and 81.9", "L3-Net {01 AVC accuracy, sampled}, AVE-Net {02 AVC accuracy, sampled}",
        (Check("01 AVC accuracy, sampled"), Check("02 AVC accuracy, sampled")),
        "The 2017 paper's network saw about 60 million pairs, ours fewer than a hundred thousand: this "
        "tests the budget more than the claim.",
    ),
    Claim(
        "What the two towers learn serves other tasks: environmental sounds, scenes, objects in photographs.",
        "01", "ESC-50 79.3, DCASE 93, ImageNet 32.3", "-", (),
        "It needs those three data sets; the course brings its own world and downloads nothing.",
    ),
)  # fmt: skip

SOUND = (
    Claim(
        "If mismatched sounds may start at any time, the sound alone gives the answer away.",
        "01", "-", "a network that sees nothing: {01 shortcut: ears, own pairs}; on clean pairs "
        "{01 shortcut: ears, clean pairs}",
        tuple(Check("01 shortcut: ears, own pairs", x) for x in ("chance", "01 shortcut: ears, clean pairs")),
        "The trace of the frame clock is put into our sounds on purpose, stronger than codecs leave it.",
    ),
    Claim(
        "So a network with both senses scores higher where that trap is open, and lower on clean pairs.",
        "01", "87.6 with, 81.9 without",
        "own pairs {01 shortcut: naive, own pairs} against {01 shortcut: grid, own pairs}; clean pairs {01 "
        "shortcut: naive, clean pairs} against {01 shortcut: grid, clean pairs}",
        (
            Check("01 shortcut: naive, own pairs", "01 shortcut: grid, own pairs"),
            Check("01 shortcut: grid, clean pairs", "01 shortcut: naive, clean pairs"),
        ),
        "Ours is an L3-Net that knew the task before it met the trap, the paper's an AVE-Net trained in it.",
    ),
    Claim(
        "AVE-Net, which decides by one distance, answers better than L3-Net with its free head.",
        "02", "81.9 and 80.8", "{02 AVC accuracy, all} and {01 AVC accuracy, all}",
        (Check("02 AVC accuracy, all", "01 AVC accuracy, all"),),
        "Same pairs, every pair of a batch a decision; each network trained for the epochs of its own "
        "lesson.",
    ),
    Claim(
        "AVE-Net finds sounds for pictures and pictures for sounds better than L3-Net's features.",
        "02", ".561 / .587 and .418 / .385",
        f"{each(_ndcg('{}', AVE), *CROSS)} and {each(_ndcg('{}', L3), *CROSS)}",
        tuple(Check(_ndcg(way, AVE), _ndcg(way, L3)) for way in CROSS),
        "Nothing ever asked the two towers of L3-Net to use the same axes.",
    ),
    Claim(
        "L3-Net aligned by CCA lies between the two.",
        "02", ".531 / .560", each(_ndcg("{}", CCA), *CROSS),
        tuple(Check(_ndcg(w, a), _ndcg(w, b)) for w in CROSS for a, b in ((CCA, L3), (AVE, CCA))),
        "CCA as in the paper, 128 components and next to no regularization; the lesson also tunes it on "
        "validation clips, and that row of its table belongs beside this one.",
    ),
    Claim(
        "AVE-Net leads within one sense as well: pictures for pictures, sounds for sounds.",
        "02", ".604 / .665 and .567 / .653",
        f"{each(_ndcg('{}', AVE), *WITHIN)} and {each(_ndcg('{}', L3), *WITHIN)}",
        tuple(Check(_ndcg(way, AVE), _ndcg(way, L3)) for way in WITHIN),
        "Against L3-Net's features; the query's own clip is left out of the database.",
    ),
    Claim(
        "Without a label it finds pictures as well as VGG16 trained on ImageNet.",
        "02", ".604 and .600", "-", (),
        "No weights of ImageNet's VGG16 are at hand; the stand-in of the lesson is another, smaller network.",
    ),
    Claim(
        "Seeing movement helps: 25 frames, or optical flow, beat one frame.",
        "02", "84.7 / 84.9 and 81.9",
        "{02 AVC accuracy, 25 frames}, {02 AVC accuracy, frame + flow} and {02 AVC accuracy, middle frame}",
        tuple(
            Check(f"02 AVC accuracy, {seen}", "02 AVC accuracy, middle frame")
            for seen in ("25 frames", "frame + flow")
        ),
        "All three go on from one AVE-Net for a few epochs, where the paper trained each from scratch.",
    ),
    Claim(
        "AVOL-Net, which also says where, answers as well as AVE-Net (here: at most five points less).",
        "03", "81.9 both", "{03 AVC accuracy, all} and {02 AVC accuracy, all}",
        (Check("03 AVC accuracy, all", "02 AVC accuracy, all", by=-0.05),),
        "An interval cannot show that two numbers are equal, so a margin is set.",
    ),
    Claim(
        "Its highest cell lies on the instrument far more often than the middle of the picture does.",
        "03", "81.7 and 57.2",
        "seen classes {03 pointing, seen, box, own sound} and {03 pointing, seen, box, image centre}; "
        "unseen {03 pointing, unseen, box, own sound} and {03 pointing, unseen, box, image centre}",
        tuple(
            Check(f"03 pointing, {where}, own sound", f"03 pointing, {where}, image centre")
            for where in ("seen, box", "seen, outline", "unseen, box", "unseen, outline")
        ),
        "By box and by exact outline; the paper's annotators marked regions of a shape that it does not "
        "state.",
    ),
    Claim(
        "The heat follows the sound: on classes it knows, it moves to the instrument that is heard.",
        "03", "shown in pictures",
        "own sound {03 pointing, seen, box, own sound}, another class's {03 pointing, seen, box, shuffled "
        "sound}; in duets it moves in {03 duets: moves}",
        (
            Check("03 pointing, seen, box, own sound", "03 pointing, seen, box, shuffled sound"),
            Check("03 duets: moves", 0.25),
            Check("03 duets: nearer to it", 0.5),
        ),
        "Duets ask what solos cannot: a coin moves rightly in 25 % and is nearer in 50 %.",
    ),
    Claim(
        "It follows the sound on classes that it never met, too.",
        "07", "-", "in duets it moves in {07 AVOL-Net: duets: moves}, is nearer in {07 AVOL-Net: duets: "
        "nearer to it}",
        (
            Check("07 AVOL-Net: duets: moves", 0.25),
            Check("07 AVOL-Net: duets: nearer to it", 0.5),
            Check("07 mIoU, AVOL-Net minus shuffled sound", 0.0),
        ),
        "The paper does not claim it, but LLINet's table of unseen classes compares with AVOL-Net; a map "
        "that never moves is nearer in exactly half of the cases.",
    ),
)  # fmt: skip

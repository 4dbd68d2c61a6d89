"""What must not change by itself: the built-in world, and what the packaged networks answer.

The numbers were written down once; see frozen/README.md.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from llinet_lite.experiments import runs, standins
from llinet_lite.experiments.methods import look
from llinet_lite.models import VGGish
from llinet_lite.models.trunks import LITE, build_trunk, lite_weights
from llinet_lite.models.vggish import Ear
from llinet_lite.profiles import PROFILES
from llinet_lite.rivals.vgg import VGG16
from llinet_lite.workspace import WEIGHTS, Workspace

FROZEN = Path(__file__).with_name("frozen")
LAPTOP = PROFILES["laptop"]
PLANS = runs.plans(LAPTOP)
FIXED = ("trunk-seen", "vgg16-seen", "vggish-seen")  # stand-ins of networks with public weights
NAMES = sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def test_the_world_of_the_smoke_course_is_the_recorded_one():
    known = json.loads((FROZEN / "worlds.json").read_text("utf-8"))
    assert Workspace(PROFILES["smoke"]).store().content_hash == known["smoke"]


@pytest.fixture(scope="module")
def answers() -> dict[str, np.ndarray]:
    with np.load(FROZEN / "networks.npz") as kept:
        return dict(kept)


@pytest.fixture(scope="module")
def given() -> dict[str, torch.Tensor]:
    """The fixed batch of two."""
    rng, given = np.random.default_rng(20), {}
    given["image"] = rng.random((2, 3, 112, 112), dtype=np.float32)
    given["frames"] = rng.random((2, 3, 25, 112, 112), dtype=np.float32)
    given["flow"] = rng.standard_normal((2, 20, 112, 112)).astype(np.float32)
    given["spectrogram"] = rng.standard_normal((2, 1, 129, 100)).astype(np.float32)
    given["logmel"] = rng.standard_normal((2, 100, 40)).astype(np.float32)
    given["waveform"] = (0.1 * rng.standard_normal((2, 16000))).astype(np.float32)
    return {name: torch.from_numpy(array) for name, array in given.items()}


def state(name: str) -> dict[str, torch.Tensor]:
    return load_file(WEIGHTS / f"{name}.safetensors")


@pytest.fixture(scope="module")
def trunk():
    return build_trunk(LITE, lite_weights()).eval()


@pytest.fixture(scope="module")
def ear():
    vggish = VGGish(LAPTOP.width, classes=LAPTOP.classes)
    vggish.load_state_dict(standins.unpacked(state("vggish-seen")))
    return Ear(vggish.freeze(), LAPTOP.sample_rate)


def test_nothing_is_packaged_that_was_not_recorded(answers):
    assert sorted({name.split("/")[0] for name in answers}) == NAMES and len(NAMES) == 34


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_a_packaged_network_answers_as_recorded(name, answers, given, trunk, ear):
    if name in FIXED:
        found = stand_in(name, given, ear)
    else:
        card = Workspace.card(WEIGHTS / f"{name}.safetensors")
        assert card["plan"] == asdict(PLANS[name]), "the plan is no longer the one these weights are of"
        method = runs.build(PLANS[name], LAPTOP, 0, trunk=trunk, ear=ear, classes=card.get("classes", 0))
        runs.restore(method, state(name))
        found = answered(method.eval(), PLANS[name], given, trunk, ear)
    deep = name not in FIXED and PLANS[name].method not in runs.CORRESPONDENCE  # they differ by processor
    near = {"rtol": 1e-4, "atol": 1e-6} if deep else {"rtol": 1e-5, "atol": 1e-6}
    for key, value in found.items():
        known = answers[f"{name}/{key}"]
        np.testing.assert_allclose(value.float().numpy(), known, **near, err_msg=key)
    assert len(found) == sum(key.startswith(f"{name}/") for key in answers)


def stand_in(name, given, ear) -> dict[str, torch.Tensor]:
    if name == "trunk-seen":
        trunk = build_trunk("standin", width=LAPTOP.width, classes=24)
        trunk.load_state_dict(state(name))
        return look(trunk.freeze().eval(), given["image"], ("pooled", "teacher"))
    if name == "vggish-seen":
        return {"ear": ear(given["waveform"])}
    network = VGG16(24, LAPTOP.width, max(32, min(LAPTOP.image_crop, 4 * LAPTOP.width)))
    network.load_state_dict(state(name))
    return {"image": network.eval().embed_image(given["image"])}


def answered(method, plan, given, trunk, ear) -> dict[str, torch.Tensor]:
    """Embeddings of the batch by a trained method, and scores of its pairs."""
    if plan.method in runs.CORRESPONDENCE:
        flow = torch.cat([given["image"], given["flow"]], 1)
        seen = {"frames": given["frames"], "flow": flow}.get(plan.view, given["image"])
        image, audio = method.embed_image(seen), method.embed_audio(given["spectrogram"])
        return {"image": image, "audio": audio, "pairs": method.network.pairs(image, audio)}
    own = getattr(getattr(method, "network", None), "trunk", trunk)
    heard = ear(given["waveform"]) if plan.options.get("audio") == "vggish" else given["logmel"]
    image = method.embed_image(look(own, given["image"], method.needs))
    audio = method.embed_audio(heard)
    return {"image": image, "audio": audio, "scores": method.scores(image, audio)}

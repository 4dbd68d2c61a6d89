"""What the committed notebooks show is what the code gives now; and something was compared to say so."""

from __future__ import annotations

from pathlib import Path

from recheck import recheck_all, says_something, tagged

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Cells whose outputs must really be compared, at least; a notebook without an entry fails.
MINIMUM = {
    "00_welcome": 4,
    "01_audio_visual_correspondence": 8,
    "02_ave_net": 10,
    "03_avol_net": 7,
    "04_llinet_encoders": 10,
    "05_llinet_losses": 8,
    "06_cross_modal_retrieval": 5,
    "07_sound_localization": 6,
    "08_zero_shot_recognition": 8,
    "09_paper_versus_code": 4,
    "10_your_own_data": 9,
}


def test_the_outputs_shown_are_those_the_code_gives(tmp_path):
    (ROOT / "runs" / "data").mkdir(parents=True, exist_ok=True)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "data").symlink_to(ROOT / "runs" / "data")  # the world may be there already
    places = {"LLINET_HOME": str(tmp_path)}
    outcomes = recheck_all(NOTEBOOKS, tmp_path, cwd=ROOT, environment=places)
    failed = [outcome.said for outcome in outcomes.values() if outcome.code]
    assert not failed, "\n".join(failed)
    for path in NOTEBOOKS:
        compared = outcomes[path.stem].compared[path.stem]
        assert set(compared) == tagged(path), f"{path.name}: tagged cells were not compared"
        empty = [number for number, text in compared.items() if not says_something(text)]
        assert not empty, f"{path.name}: the outputs of code cells {empty} (from 0) say nothing to compare"
        assert len(compared) >= MINIMUM[path.stem], f"{path.name}: only {len(compared)} cells compared"

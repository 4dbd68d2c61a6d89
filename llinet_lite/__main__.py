"""The command line: `llinet course | world | import | results | doctor`.

Every command imports what it needs when it runs, so that `llinet --help` is quick. A mistake of the user ends
in a sentence and exit code 2, a failed notebook in exit code 1, a course stopped by Ctrl-C in exit code 130.
"""

from __future__ import annotations

import difflib
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="llinet",
    help="Look, Listen and Infer: a course on how machines connect sounds with the things that make them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
world_app = typer.Typer(help="The built-in world of 32 instruments.", no_args_is_help=True)
app.add_typer(world_app, name="world")

Seed = Annotated[int, typer.Option(help="Same seed, same bytes.")]
ProfileName = Annotated[str, typer.Option("--profile", help="smoke, laptop, gpu or paper.")]
Workers = Annotated[int, typer.Option(help="Processes; 0 takes one per core.", min=0)]


def _version(wanted: bool) -> None:
    if wanted:
        import llinet_lite

        print(f"llinet-lite {llinet_lite.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None:
    pass


@app.command()
def course(
    profile: ProfileName = "smoke",
    only: Annotated[str, typer.Option(help="Run this notebook only, as 01.")] = "",
    start: Annotated[str, typer.Option("--from", help="Start with this notebook, as 02.")] = "",
    data: Annotated[Path | None, typer.Option(help="A packed store or a folder of your own.")] = None,
    seeds: Annotated[
        int, typer.Option(help="Train with so many seeds: -p seeds N; 0 leaves the notebooks' own.", min=0)
    ] = 0,
    parameters: Annotated[
        list[str] | None,
        typer.Option("-p", metavar="NAME VALUE", help="Set a notebook's parameter; may be repeated."),
    ] = None,
    runs: Annotated[Path | None, typer.Option(help="Folder of all runs; default: runs.")] = None,
    notebooks: Annotated[Path | None, typer.Option(help="Folder of the notebooks.")] = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train even where weights are at hand.")] = False,
    publish: Annotated[
        bool, typer.Option("--publish", help="With --retrain: make the result the reference weights.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Copy the numbers into results/.")] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Run the other notebooks where one failed.")
    ] = False,
    at_once: Annotated[
        int, typer.Option(help="Lessons at a time; 0: two, if cores and memory allow.", min=0)
    ] = 0,
) -> None:
    """Run the notebooks in order and write an index of them; what is done and unchanged is not run again."""
    from llinet_lite.course import Course, run

    given = [_pair(text) for text in parameters or []] + [("seeds", str(seeds))] * (seeds > 0)
    places = {"runs": runs, "notebooks": notebooks, "data": data}
    asked = Course(
        profile=profile, only=only, start=start, given=tuple(given), retrain=retrain, publish=publish,
        keep=keep, keep_going=keep_going, at_once=at_once,
        **{name: path.expanduser() for name, path in places.items() if path},
    )  # fmt: skip
    try:
        print(f"index: {run(asked)}")
    except KeyboardInterrupt:
        print("\nllinet: stopped; the same command goes on where it stopped", file=sys.stderr)
        raise typer.Exit(130) from None


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"-p {text!r}: give a name and a value, as in -p epochs 5")
    return name, value


@app.command()
def results(
    run: Annotated[str, typer.Argument(help="A folder of results/.")] = "laptop",
    lesson: Annotated[str, typer.Option(help="Number of one lesson; default: all.")] = "",
    claims: Annotated[bool, typer.Option("--claims", help="Which claims of the papers held up.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Write the tables of README.md again.")] = False,
) -> None:
    """Print the results that are kept, with intervals, beside chance and the papers' numbers."""
    from llinet_lite import results as kept
    from llinet_lite.workspace import home, write_whole

    if write:
        page = home() / "README.md"
        write_whole(page, kept.readme(page.read_text(encoding="utf-8")).encode())
        print(f"written: {page}")
    elif claims:
        print(kept.markdown(kept.claims_frame(run)))
    else:
        files = sorted((home() / "results" / run).glob(f"{lesson or '[0-9]'}*.json"))
        if not files:
            raise ValueError(f"results/{run} keeps no results: `llinet course --keep` writes them")
        for path in files:
            print(f"{path.stem}\n\n{kept.markdown(kept.table(kept.read(path)))}")


@world_app.command("show")
def world_show(
    name: Annotated[str, typer.Argument(help="One of the 32 instruments, as violin.")],
    seed: Seed = 0,
    kind: Annotated[str, typer.Option(help="solo, duet, distractor, offscreen or silence.")] = "solo",
    size: Annotated[int, typer.Option(help="Side of the image, pixels.", min=16, max=4096)] = 512,
    seconds: Annotated[float, typer.Option(help="Length of the sound, at most 10.", min=0.1, max=10)] = 3.0,
    out: Annotated[Path, typer.Option(help="Folder for the two files.")] = Path(),
) -> None:
    """Write one clip: an image (PNG) and its sound (WAV)."""
    from llinet_lite import world
    from llinet_lite.data import media

    for what, given, known in (
        ("instrument", name, [row.name for row in world.INSTRUMENTS]),
        ("kind of scene", kind, list(world.KINDS)),
    ):
        if given not in known:
            near = difflib.get_close_matches(given.lower(), known, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise ValueError(f"there is no {what} {given!r}: {hint}Choose one of {', '.join(known)}")
    clip = world.clip(name, seed, kind=kind, size=size, seconds=seconds)
    out.mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace(' ', '_')}-{kind}-{seed}"
    media.write_image(out / f"{stem}.png", clip.image)
    media.write_audio(out / f"{stem}.wav", clip.waveform, 48_000)
    print(f"{out / stem}.png ({size} x {size} px)\n{out / stem}.wav ({seconds:g} s at 48 kHz)")


@world_app.command("sheet")
def world_sheet(
    out: Annotated[Path, typer.Option(help="The image to write, .png or .jpg.")] = Path("sheet.png"),
    seed: Seed = 0,
    size: Annotated[int, typer.Option(help="Side of one tile, pixels.", min=32, max=512)] = 128,
) -> None:
    """Write one image of all 32 instruments, four by eight, in the order of their labels."""
    import numpy as np

    from llinet_lite.data import media
    from llinet_lite.world import INSTRUMENTS, Scene

    tiles = np.stack([Scene(row.name, seed).frame(1.5, size) for row in INSTRUMENTS])
    sheet = tiles.reshape(4, 8, size, size, 3).swapaxes(1, 2).reshape(4 * size, 8 * size, 3)
    out.parent.mkdir(parents=True, exist_ok=True)
    media.write_image(out, sheet)
    print(f"{out}: {', '.join(row.name for row in INSTRUMENTS)}")


@world_app.command("build")
def world_build(
    profile: ProfileName = "laptop",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the store; default: where the course looks.")
    ] = None,
    workers: Workers = 0,
) -> None:
    """Build the packed store of a profile; a killed build goes on where it stopped."""
    from llinet_lite.data import bandstand
    from llinet_lite.profiles import profile_named
    from llinet_lite.workspace import Workspace

    place = Workspace(profile_named(profile))
    plan = bandstand.WORLD_SETS[profile]
    store = bandstand.build(out, plan, workers=workers or None) if out else place.store()
    print(f"{store.folder}: {_sizes(store)}")


@app.command("import")
def import_folder(
    folder: Annotated[
        Path, typer.Argument(help="Folders in the layout of INSTRUMENT-32CLASS, or a folder of videos.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the packed store to write.")],
    sample_rate: Annotated[int, typer.Option(help="Hz of the stored sound.", min=8000, max=192_000)] = 48_000,
    image_size: Annotated[
        int, typer.Option(help="Short side of a stored image, pixels.", min=16, max=2048)
    ] = 256,
    listing: Annotated[
        Path | None,
        typer.Option("--list", help="Videos: a csv like AudioSet's or VGGSound's; default: the one there."),
    ] = None,
    unseen: Annotated[
        list[str] | None,
        typer.Option(help="Videos: a class that is kept for zero-shot tests; may be repeated."),
    ] = None,
    workers: Workers = 0,
) -> None:
    """Pack photos and recordings, or videos, into a store that the course trains from."""
    from llinet_lite.data import folders, videos

    sizes = {"sample_rate": sample_rate, "image_size": image_size, "workers": workers or None}
    if folder.is_dir() and videos.holds_videos(folder):
        store = videos.import_videos(folder, out, listing=listing, unseen=tuple(unseen or ()), **sizes)
    elif listing or unseen:
        raise ValueError(f"{folder} holds no videos: --list and --unseen are for a folder of videos")
    else:
        store = folders.import_folders(folder, out, **sizes)
    print(f"{out}: {_sizes(store)}; {len(store.manifest['excluded'])} files left out")


def _sizes(store) -> str:
    return ", ".join(
        f"{split} {count['images']} images {count['sounds']} sounds" for split, count in store.splits.items()
    )


# ------------------------------------------------------------------------------------------------ the doctor

NEEDS = {
    "smoke": (4, 1, 0),
    "laptop": (6, 3, 0),
    "gpu": (48, 60, 100),
    "paper": (96, 300, 130),
}  # GB of memory, disk and GPU
TORCH = ("torch==2.11.0", "torchvision==0.26.0", "torchaudio==2.11.0")  # one set, which loads together


@app.command()
def doctor(profile: ProfileName = "laptop") -> None:
    """Say OK or FAIL for everything the course needs, with a fix for each FAIL."""
    failed = 0
    for line in examine(profile):
        print(line, flush=True)
        failed += line.startswith("FAIL")
    print(f"\n{failed} failed" if failed else "\nall is well")
    raise typer.Exit(bool(failed))


def examine(profile: str = "laptop") -> Iterator[str]:
    """Yield one line per requirement: OK and what was found, or FAIL and how to mend it."""
    from llinet_lite.profiles import profile_named

    memory, disk, gpu = NEEDS[profile_named(profile).name]
    checks = {
        "Python": (_python, "make setup PYTHON=python3.12"),
        "torch set": (_torch, f"pip install {' '.join(TORCH)}"),
        "audio decoding": (_audio, "pip install --force-reinstall soundfile"),
        "video decoding": (_video, "pip install --force-reinstall av"),
        "device": (lambda: _device(gpu), "take --profile laptop, or a larger GPU"),
        "memory": (lambda: _memory(memory), "take --profile smoke"),
        "disk": (lambda: _disk(disk), "set LLINET_HOME to a folder on another disk"),
        "Jupyter kernel": (_kernel, "python -m ipykernel install --sys-prefix --name python3"),
    }  # fmt: skip
    for name, (check, fix) in checks.items():
        try:
            yield f"OK    {name:<15} {check()}"
        except Exception as error:  # whatever is broken, the others are still to be looked at
            yield f"FAIL  {name:<15} {error}\n      fix: {fix}"


def _need(holds: bool, fault: str) -> None:
    if not holds:
        raise RuntimeError(fault)


def _python() -> str:
    _need((3, 11) <= sys.version_info[:2] <= (3, 13), "the course runs on Python 3.11, 3.12 and 3.13")
    return sys.version.split()[0]


def _torch() -> str:
    for pin in TORCH:
        name, _, version = pin.partition("==")
        found = metadata.version(name)
        _need(found.partition("+")[0] == version, f"{name} is {found}, the set has {version}")
        __import__(name)
    return ", ".join(TORCH)


def _audio() -> str:
    import numpy as np
    import soundfile

    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    for kind in ("WAV", "FLAC", "OGG", "MP3"):
        file = io.BytesIO()
        soundfile.write(file, tone, 16_000, format=kind)
        file.seek(0)
        back, rate = soundfile.read(file)
        peak = np.argmax(np.abs(np.fft.rfft(back))) * rate / len(back)
        _need(abs(peak - 440) < 5, f"{kind}: a tone of 440 Hz came back as {peak:.0f} Hz")
    return "wav, flac, ogg, mp3"


def _video() -> str:
    import av
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        with av.open(f"{folder}/clip.mp4", "w") as out:
            stream = out.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
            grey = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 120, np.uint8), format="rgb24")
            out.mux([*stream.encode(grey), *stream.encode()])
        with av.open(f"{folder}/clip.mp4") as clip:
            seen = [frame.to_ndarray(format="rgb24").mean() for frame in clip.decode(video=0)]
    _need(len(seen) == 1 and abs(seen[0] - 120) < 8, f"a grey frame of 120 came back as {seen}")
    return f"mp4 (PyAV {av.__version__})"


def _device(needed: float) -> str:
    import torch

    if not torch.cuda.is_available():
        _need(not needed, "torch finds no CUDA device here, and this profile is made for one")
        _need(not shutil.which("nvidia-smi"), "there is an NVIDIA driver, but torch cannot use the GPU")
        return f"CPU, {torch.get_num_threads()} threads"
    free = torch.cuda.mem_get_info()[0] / 1e9
    _need(free >= needed, f"{free:.0f} GB are free on the GPU; this profile takes {needed} GB")
    return f"{torch.cuda.get_device_name()}, {free:.0f} GB free"


def _memory(needed: float) -> str:
    import psutil

    total = psutil.virtual_memory().total / 1e9
    _need(total >= needed, f"{total:.1f} GB in all; this profile takes {needed} GB")
    return f"{total:.1f} GB"


def _disk(needed: float) -> str:
    from llinet_lite.workspace import home

    free = shutil.disk_usage(home()).free / 1e9
    _need(os.access(home(), os.W_OK), f"{home().name} cannot be written to")
    _need(free >= needed, f"{free:.1f} GB are free; stores and runs take {needed} GB")
    return f"{free:.0f} GB free"


def _kernel() -> str:
    from jupyter_client.kernelspec import get_kernel_spec

    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")
    python = get_kernel_spec("python3").argv[0]
    code = "import ipykernel, sys; print(sys.prefix)"
    prefix = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    _need(Path(prefix).resolve() == Path(sys.prefix).resolve(), f"python3 runs the Python of {prefix}")
    return "python3"


def joined(arguments: list[str]) -> list[str]:
    """Return the arguments with every `-p name value` as `-p name=value`, which typer can read."""
    result: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        result.append(argument)
        if argument == "-p" and rest:
            name = rest.pop(0)
            alone = "=" in name or not rest or rest[0].startswith("--")
            result.append(name if alone else f"{name}={rest.pop(0)}")
    return result


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; user mistakes leave as a sentence on stderr."""
    try:
        app(args=joined(sys.argv[1:] if arguments is None else arguments), prog_name="llinet")
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        if os.environ.get("LLINET_DEBUG"):
            raise
        failed = type(error).__name__ == "LessonFailed"
        print(f"\nllinet: {error}" if failed else f"\nllinet: error: {error}", file=sys.stderr)
        sys.exit(1 if failed else 2)


if __name__ == "__main__":
    main()

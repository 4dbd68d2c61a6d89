"""The command line: `llinet course | world | import | results | doctor`.

Every command imports what it needs when it runs, so that `llinet --help` is quick. A mistake of the user ends
in a sentence and exit code 2, a failed notebook in exit code 1, a course stopped by Ctrl-C in exit code 130.
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from llinet_lite import __version__

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
        print(f"llinet-lite {__version__}")
        raise typer.Exit


@app.callback()
def _main(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False):
    pass


def _option(*names: str, help: str, **more):
    return typer.Option(*names, help=help, **more)


@app.command()
def course(
    profile: ProfileName = "smoke",
    only: Annotated[str, _option(help="Run this notebook only, as 01.")] = "",
    start: Annotated[str, _option("--from", help="Start with this notebook, as 02.")] = "",
    data: Annotated[Path | None, _option(help="A packed store or a folder of your own.")] = None,
    seeds: Annotated[int, _option(help="Train with so many seeds; 0: the notebooks' own.", min=0)] = 0,
    parameters: Annotated[
        list[str] | None, _option("-p", metavar="NAME VALUE", help="Set a notebook's parameter.")
    ] = None,
    runs: Annotated[Path | None, _option(help="Folder of all runs; default: runs.")] = None,
    notebooks: Annotated[Path | None, _option(help="Folder of the notebooks.")] = None,
    retrain: Annotated[bool, _option("--retrain", help="Train even where weights are at hand.")] = False,
    publish: Annotated[bool, _option("--publish", help="Make the result the reference weights.")] = False,
    keep: Annotated[bool, _option("--keep", help="Copy the numbers into results/.")] = False,
    keep_going: Annotated[bool, _option("--keep-going", help="Run the others where one failed.")] = False,
    at_once: Annotated[int, _option(help="Lessons at a time; 0: two, if there is room.", min=0)] = 0,
) -> None:
    """Run the notebooks in order and write an index of them; what is done and unchanged is not run again."""
    from llinet_lite.course import Course, run

    given = [tuple(text.split("=", 1)) for text in parameters or []] + [("seeds", str(seeds))] * (seeds > 0)
    if any(len(pair) == 1 for pair in given):
        raise typer.BadParameter("-p: give a name and a value, as in -p epochs 5")
    flags = (retrain, publish, keep, keep_going)
    try:
        asked = Course(profile, only, start, data, tuple(given), *flags, at_once, runs, notebooks)
        print(f"index: {run(asked)}")
    except KeyboardInterrupt:
        print("\nllinet: stopped; the same command goes on where it stopped", file=sys.stderr)
        raise typer.Exit(130) from None


@app.command()
def results(
    run: Annotated[str, typer.Argument(help="A folder of results/.")] = "laptop",
    lesson: Annotated[str, typer.Option(help="Number of one lesson; default: all.")] = "",
    claims: Annotated[bool, typer.Option("--claims", help="Which claims of the papers held up.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Write the tables of README.md again.")] = False,
) -> None:
    """Print the results that are kept, with intervals, beside chance and the papers' numbers."""
    from llinet_lite import results as kept
    from llinet_lite.files import write_whole
    from llinet_lite.workspace import home

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
    kind: Annotated[str, _option(help="solo, duet, distractor, offscreen or silence.")] = "solo",
    size: Annotated[int, _option(help="Side of the image, pixels.", min=16, max=2048)] = 512,
    seconds: Annotated[float, _option(help="Length of the sound, at most 10.", min=0.1, max=10)] = 3.0,
    out: Annotated[Path, _option(help="Folder for the two files.")] = Path(),
) -> None:
    """Write one clip: an image (PNG) and its sound (WAV)."""
    from llinet_lite import world
    from llinet_lite.data import media

    try:
        clip = world.clip(name, seed, kind=kind, size=size, seconds=seconds)
    except KeyError as error:  # it proposes the nearest names
        raise ValueError(error.args[0]) from None
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
    invented: Annotated[bool, typer.Option("--invented", help="96 invented instruments instead.")] = False,
) -> None:
    """Write one image of all 32 instruments, in the order of their labels, or of 96 invented ones."""
    from llinet_lite import world
    from llinet_lite.data import media

    rows = world.invented(96, seed) if invented else world.INSTRUMENTS
    out.parent.mkdir(parents=True, exist_ok=True)
    media.write_image(out, world.sheet(rows, 12 if invented else 8, seed=seed, size=size))
    print(f"{out}: {f'{rows[0].name} to {rows[-1].name}' if invented else ', '.join(r.name for r in rows)}")


@world_app.command("build")
def world_build(
    profile: ProfileName = "laptop",
    out: Annotated[Path | None, _option(help="Folder; default: where the course looks.")] = None,
    invented: Annotated[bool, typer.Option("--invented", help="The invented classes instead.")] = False,
    workers: Workers = 0,
) -> None:
    """Build the packed store of a profile; a killed build goes on where it stopped."""
    from llinet_lite.data import bandstand
    from llinet_lite.profiles import profile_named
    from llinet_lite.workspace import Workspace

    place = Workspace(profile_named(profile))
    sets = bandstand.INVENTED_SETS if invented else bandstand.WORLD_SETS
    if out:
        store = bandstand.build(out, sets[profile], workers=workers or None)
    else:
        store = place.with_invented().stores[1] if invented else place.store()
    print(f"{store.folder}: {_sizes(store)}")


@app.command("import")
def import_folder(
    folder: Annotated[Path, typer.Argument(help="As INSTRUMENT-32CLASS, or a folder of videos.")],
    out: Annotated[Path, _option(help="Folder of the packed store to write.")],
    sample_rate: Annotated[int, _option(help="Hz of the stored sound.", min=8000, max=192_000)] = 48_000,
    image_size: Annotated[int, _option(help="Short side of an image, pixels.", min=16, max=2048)] = 256,
    listing: Annotated[Path | None, _option("--list", help="Videos: csv of AudioSet or VGGSound.")] = None,
    unseen: Annotated[list[str] | None, _option(help="Videos: a class for zero-shot tests.")] = None,
    holdout: Annotated[float, _option(help="Share of each seen class kept out of train.")] = 0.2,
    longest: Annotated[float, _option(help="Photos: seconds of the longest recording to take.")] = 600.0,
    rebuild: Annotated[bool, _option("--rebuild", help="Pack anew where a store is.")] = False,
    workers: Workers = 0,
) -> None:
    """Pack photos and recordings, or videos, into a store that the course trains from."""
    from llinet_lite.data import folders, videos

    sizes = {"sample_rate": sample_rate, "image_size": image_size, "workers": workers or None}
    sizes |= {"holdout": holdout, "rebuild": rebuild}
    if folder.is_dir() and videos.holds_videos(folder):
        store = videos.import_videos(folder, out, listing=listing, unseen=tuple(unseen or ()), **sizes)
    elif listing or unseen:
        raise ValueError(f"{folder} holds no videos: --list and --unseen are for a folder of videos")
    else:
        store = folders.import_folders(folder, out, longest=longest, **sizes)
    print(f"{out}: {_sizes(store)}; {len(store.manifest['excluded'])} files left out")


def _sizes(store) -> str:
    sizes = store.splits.items()
    return ", ".join(f"{split} {of['images']} images {of['sounds']} sounds" for split, of in sizes)


# ------------------------------------------------------------------------------------------------ the doctor

TORCH = ("torch==2.11.0", "torchvision==0.26.0", "torchaudio==2.11.0")  # one set, which loads together


@app.command()
def doctor(profile: ProfileName = "laptop") -> None:
    """Say OK or FAIL for everything the course needs, with a fix for each FAIL."""
    import av
    import psutil
    import soundfile
    import torch
    from jupyter_client.kernelspec import find_kernel_specs

    from llinet_lite.profiles import NEEDS, profile_named
    from llinet_lite.workspace import home

    memory, disk, gpu = NEEDS[profile_named(profile).name]
    python = sys.version_info[:2]
    names = [pin.partition("==")[0] for pin in TORCH]
    torches = [f"{name}=={metadata.version(name).partition('+')[0]}" for name in names]
    formats = [name for name in ("WAV", "FLAC", "OGG", "MP3") if name in soundfile.available_formats()]
    codecs = [name for name in ("h264", "mpeg4", "aac") if name in av.codecs_available]
    cuda, total = torch.cuda.is_available(), psutil.virtual_memory().total / 1e9
    device = torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads"
    free = shutil.disk_usage(home()).free / 1e9
    on_gpu = torch.cuda.mem_get_info()[0] / 1e9 if cuda else 0.0
    checks = (  # what, whether it is well, what was found, how to mend it
        ("Python", (3, 11) <= python <= (3, 13), "{}.{}".format(*python), "make setup PYTHON=python3.12"),
        ("torch set", torches == [*TORCH], torches, f"pip install {' '.join(TORCH)}"),
        ("audio files", len(formats) == 4, formats, "pip install --force-reinstall soundfile"),
        ("video files", len(codecs) == 3, codecs, "pip install --force-reinstall av"),
        ("device", on_gpu >= gpu, device, f"{profile} takes {gpu} GB of a GPU: take --profile laptop"),
        ("memory", total >= memory, f"{total:.1f} GB", f"{profile} takes {memory} GB: take --profile smoke"),
        ("disk", free >= disk, f"{free:.0f} GB free", f"{profile} takes {disk} GB: set LLINET_HOME"),
        ("writable", os.access(home(), os.W_OK), "yes", "set LLINET_HOME to a folder of yours"),
        ("Jupyter kernel", "python3" in find_kernel_specs(), "python3",
         "python -m ipykernel install --sys-prefix --name python3"),
    )  # fmt: skip
    for name, well, found, fix in checks:
        found = ", ".join(found) if isinstance(found, list) else found
        print(f"OK    {name:<15} {found}" if well else f"FAIL  {name:<15} {found}\n      fix: {fix}")
    failed = sum(not well for _, well, *_ in checks)
    print(f"\n{failed} failed" if failed else "\nall is well")
    raise typer.Exit(bool(failed))


def joined(arguments: list[str]) -> list[str]:
    """Return the arguments with every `-p name value` as `-p name=value`, which typer can read."""
    result: list[str] = []
    for argument in arguments:
        if result[-2:-1] == ["-p"] and "=" not in result[-1] and not argument.startswith("--"):
            result[-1] += f"={argument}"
        else:
            result.append(argument)
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

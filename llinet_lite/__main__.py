"""The command line: `llinet doctor | world | import | course | unattended | report | bench`.

Every command imports what it needs when it runs, so that `llinet --help` is quick.
A mistake of the user ends in a sentence and exit code 2, a failed notebook in exit
code 1, a course stopped by Ctrl-C in exit code 130; with LLINET_DEBUG=1 in the
environment the traceback of a mistake or a failure is shown as well.
"""

from __future__ import annotations

import difflib
import os
import sys
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
world_app = typer.Typer(
    help="The built-in world of 32 instruments: look, listen, build.", no_args_is_help=True
)
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
def doctor() -> None:
    """Say OK or FAIL for everything the course needs, with a fix for each FAIL."""
    from llinet_lite import doctor as physician

    raise typer.Exit(physician.run())


@world_app.command("show")
def world_show(
    name: Annotated[str, typer.Argument(help="One of the 32 instruments, as violin.")],
    seed: Seed = 0,
    kind: Annotated[str, typer.Option(help="solo, duet, distractor, offscreen or silence.")] = "solo",
    size: Annotated[int, typer.Option(help="Side of the picture, pixels.", min=16, max=4096)] = 512,
    seconds: Annotated[float, typer.Option(help="Length of the sound, at most 10.", min=0.1, max=10)] = 3.0,
    out: Annotated[Path, typer.Option(help="Folder for the two files.")] = Path(),
) -> None:
    """Write one clip: a picture (PNG) and its sound (WAV)."""
    from llinet_lite import world
    from llinet_lite.data import media

    _choose("instrument", name, [row.name for row in world.INSTRUMENTS])
    _choose("kind of scene", kind, list(world.KINDS))
    clip = world.clip(name, seed, kind=kind, size=size, seconds=seconds)
    out.mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace(' ', '_')}-{kind}-{seed}"
    media.write_image(out / f"{stem}.png", clip.image)
    media.write_audio(out / f"{stem}.wav", clip.waveform, 48_000)
    print(f"{out / stem}.png ({size} x {size} px)\n{out / stem}.wav ({seconds:g} s at 48 kHz)")


def _choose(what: str, given: str, known: list[str]) -> None:
    """Refuse what is not known, with the nearest names first."""
    if given in known:
        return
    near = difflib.get_close_matches(given.lower(), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ValueError(f"there is no {what} {given!r}: {hint}Choose one of {', '.join(known)}")


@world_app.command("sheet")
def world_sheet(
    out: Annotated[Path, typer.Option(help="The picture to write, .png or .jpg.")] = Path("sheet.png"),
    seed: Seed = 0,
    size: Annotated[int, typer.Option(help="Side of one tile, pixels.", min=32, max=512)] = 128,
    sounds: Annotated[
        bool, typer.Option("--sounds", help="Write a second sheet, of the 32 spectrograms.")
    ] = False,
) -> None:
    """Write one picture of all 32 instruments, each with its name: of 12 scenes the one seen largest."""
    from llinet_lite.data import media
    from llinet_lite.show.page import sheet, sound_image
    from llinet_lite.world import INSTRUMENTS, Scene

    names = [row.name for row in INSTRUMENTS]
    scenes = [
        max((Scene(name, 12 * seed + k) for k in range(12)), key=lambda scene: scene.cast[0].pose.scale)
        for name in names
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    media.write_image(out, sheet([scene.frame(1.5, size) for scene in scenes], names))
    print(f"{out}: pictures of {len(names)} instruments")
    if sounds:
        heard = [sound_image(scene.audio(0.0, 3.0, 16_000), 16_000, size=size) for scene in scenes]
        second = out.with_stem(f"{out.stem}-sounds")
        media.write_image(second, sheet(heard, names))
        print(f"{second}: their sounds, 3 s each, frequency 0 to 8 kHz upwards on the mel scale")


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

    settings = profile_named(profile)
    if out:
        store = bandstand.build(out, bandstand.WORLD_SETS[profile], workers=workers or None)
    else:
        store = Workspace(settings).store()
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
    keep: Annotated[
        bool, typer.Option("--keep", help="Copy the numbers into results/; then run llinet report --tables.")
    ] = False,
    at_once: Annotated[
        int,
        typer.Option(help="Lessons at a time; 0: two, if cores and memory allow.", min=0),
    ] = 0,
    html: Annotated[
        bool, typer.Option("--html", help="Run nothing: write the notebooks as pages that need no network.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="With --html: folder of the pages; default: runs/site.")
    ] = None,
) -> None:
    """Run the notebooks in order and write a report; what is done and unchanged is not run again."""
    from llinet_lite.course import Course, run

    if html:
        return _site(notebooks or Course.notebooks, out, runs)
    if out:
        raise ValueError("--out names the folder of the pages that --html writes: add --html")
    places = {"runs": runs, "notebooks": notebooks}
    asked = Course(
        profile=profile,
        only=only,
        start=start,
        data=data.expanduser().resolve() if data else None,
        given=[_pair(text) for text in parameters or []] + [("seeds", str(seeds))] * (seeds > 0),
        retrain=retrain,
        publish=publish,
        keep=keep,
        at_once=at_once,
        **{name: path.expanduser().resolve() for name, path in places.items() if path},
    )
    try:
        print(f"report: {run(asked)}")
    except KeyboardInterrupt:
        print("\nllinet: stopped; the same command goes on where it stopped", file=sys.stderr)
        raise typer.Exit(130) from None
    if keep or publish:
        print("results/ has changed: `llinet report --tables` brings the pages that show it up to date")


def _site(notebooks: Path, out: Path | None, runs: Path | None) -> None:
    """Write the course as HTML pages and say where they are."""
    from llinet_lite.course import runs_folder
    from llinet_lite.course.site import build

    folder = out or (runs or runs_folder()) / "site"
    sizes = build(notebooks.expanduser(), folder.expanduser())
    for name, size in sizes.items():
        print(f"{size / 1e6:6.2f} MB  {name}")
    print(f"{sum(sizes.values()) / 1e6:6.2f} MB  in {len(sizes)} pages; open {folder / 'index.html'}")


@app.command()
def unattended(
    profile: ProfileName = "gpu",
    seeds: Annotated[
        int, typer.Option(help="Train with so many seeds; 0 takes the profile's own.", min=0)
    ] = 0,
    runs: Annotated[Path | None, typer.Option(help="Folder of all runs; default: runs.")] = None,
    notebooks: Annotated[Path | None, typer.Option(help="Folder of the notebooks.")] = None,
    speed: Annotated[bool, typer.Option("--bench/--no-bench", help="Measure speeds at the end.")] = True,
) -> None:
    """Look at the machine, run all lessons, measure, collect in results/; started again, it goes on."""
    from llinet_lite import bench as stopwatch
    from llinet_lite import doctor as physician
    from llinet_lite.course import Course, run_unattended

    places = {"runs": runs, "notebooks": notebooks}
    places = {name: path.expanduser().resolve() for name, path in places.items() if path}
    asked = Course(profile=profile, given=[("seeds", str(seeds))], **places)
    try:
        code = run_unattended(
            asked,
            examine=lambda: physician.run(physician.checks_for(profile, asked.runs)),
            measure=(lambda path: stopwatch.save(stopwatch.run(), path)) if speed else None,
        )
    except KeyboardInterrupt:
        print("\nllinet: stopped; the same command goes on where it stopped", file=sys.stderr)
        raise typer.Exit(130) from None
    raise typer.Exit(code)


@app.command()
def report(
    profile: ProfileName = "smoke",
    folder: Annotated[
        Path | None, typer.Option(help="Folder of a run; default: that of the profile.")
    ] = None,
    tables: Annotated[
        bool, typer.Option("--tables", help="Build the pages that show results/ instead; takes no run.")
    ] = False,
) -> None:
    """Write the report of a run again; with --tables, what the course publishes.

    That is, from all of results/: the tables between the markers of README.md, results/README.md, and
    notebooks/claims.md, which says what claims of the papers held up.
    """
    from llinet_lite.course import profile_named, results_folder, runs_folder

    if not tables:
        from llinet_lite.course.report import write

        print(f"report: {write(folder or runs_folder() / profile_named(profile).name)}")
        return
    if folder or profile != "smoke":
        raise ValueError("--tables takes all of results/: leave out --profile and --folder")
    from llinet_lite.course.sources import PACKAGE
    from llinet_lite.course.tables import update

    changed = update(PACKAGE.parent, results_folder())
    print("\n".join(f"written: {path}" for path in changed) or "the tables agree with results/")


@app.command()
def bench(
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Without training steps at paper size and slow indexes.")
    ] = False,
    full: Annotated[
        bool, typer.Option("--full", help="With approximate indexes of a million vectors: an hour more.")
    ] = False,
) -> None:
    """Measure the speed of every stage; one table, one JSON file."""
    from llinet_lite import bench as stopwatch

    rows = stopwatch.run(quick=quick, full=full)
    out.mkdir(parents=True, exist_ok=True)
    stopwatch.save(rows, out / "bench.json")
    print(f"{out / 'bench.json'}: {len(rows)} rows")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"-p {text!r}: give a name and a value, as in -p epochs 5")
    return name, value


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
    from llinet_lite.course.errors import LessonFailed

    try:
        app(args=joined(sys.argv[1:] if arguments is None else arguments), prog_name="llinet")
    except LessonFailed as failure:
        _leave(str(failure), 1)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        _leave(f"error: {error}", 2)


def _leave(sentence: str, code: int) -> None:
    if os.environ.get("LLINET_DEBUG"):
        raise
    print(f"\nllinet: {sentence}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()

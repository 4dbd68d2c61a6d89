"""What holds the project together: one list of packages, imports downhill, no network, no machine's path."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import llinet_lite
from llinet_lite.course import KERNEL

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "llinet_lite"
# What each room may import besides itself; imports run downhill only.
ROOMS = {
    "world": "", "features": "", "losses": "", "profiles": "", "files": "",
    "training": "files losses",
    "data": "world files",
    "models": "features losses",
    "metrics": "world.family",
    "rivals": "models losses features",
    "results": "metrics.intervals",
    "workspace": "data profiles files",
    "experiments": "world features losses profiles files training data models metrics rivals results "
    "workspace",
    "show": "results metrics data world",
    "course": "workspace results show files profiles",
    "__main__": "course workspace results data profiles files world",
}  # fmt: skip
BACKWARD = {"training.py", "rivals/base.py"}  # a reader finds every descent in these
NAMES = {  # what is imported by another name than it is installed by
    "cv2": "opencv-python-headless",
    "faiss": "faiss-cpu",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
}
TOML = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT, EXTRAS = TOML["project"], TOML["project"]["optional-dependencies"]
ASKED = {canonicalize_name(r.name): r for r in map(Requirement, PROJECT["dependencies"] + EXTRAS["test"])}
LINES = (ROOT / "requirements.lock").read_text("utf-8").splitlines()[1:]
PINS = [Requirement(line) for line in LINES]
LOCKED = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in PINS}


# ---- the list of packages


def test_conda_users_get_the_same_packages():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    python, pip, by_pip = environment["dependencies"]
    assert python == f"python {PROJECT['requires-python']}" and pip == "pip"
    wanted = PROJECT["dependencies"] + EXTRAS["test"] + EXTRAS["book"]
    assert by_pip["pip"] == ["--constraint requirements.lock", *wanted, "--editable ."]


def test_the_lock_has_one_allowed_version_of_everything():
    for name, requirement in ASKED.items():
        assert name in LOCKED, f"{name} is not locked: run `make lock`"
        assert requirement.specifier.contains(LOCKED[name]), f"{requirement}: locked is {LOCKED[name]}"
    marker = r'(sys_platform == "linux"|python_version >= "3\.\d+")'
    assert all(re.fullmatch(rf"[\w.-]+==[\w.+!]+( ; {marker})?", line) for line in LINES)


# What the packages that only a later Python needs ask for themselves; they are not installed on 3.11.
LATER = {
    "audioop-lts": [],
    "standard-aifc": [f'{name} ; python_version >= "3.13"' for name in ("standard-chunk", "audioop-lts")],
    "standard-chunk": [],
    "standard-sunau": ['audioop-lts ; python_version >= "3.13"'],
}


def needs(name: str) -> list[Requirement]:
    """What a locked package asks for; empty if it is not installed, as those of another platform."""
    try:
        return [Requirement(text) for text in importlib.metadata.requires(name) or ()]
    except importlib.metadata.PackageNotFoundError:
        return [Requirement(text) for text in LATER.get(name, ())]


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_lock_holds_what_every_python_needs(python):
    """Whatever a locked package asks for under this Python on Linux is locked for it too, and fits."""
    here = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    here |= {"platform_system": "Linux", "os_name": "posix", "implementation_name": "cpython"}
    here |= {"platform_machine": "x86_64", "platform_python_implementation": "CPython", "extra": ""}
    valid = {canonicalize_name(p.name) for p in PINS if p.marker is None or p.marker.evaluate(here)}
    faults = []
    for name in sorted(valid):
        for wanted in needs(name):
            if wanted.marker and not wanted.marker.evaluate(here):
                continue
            pin = canonicalize_name(wanted.name)
            if pin not in valid or not wanted.specifier.contains(LOCKED[pin], prereleases=True):
                faults.append(f"{name} asks for {wanted}")
    assert not faults, f"not locked for Python {python} (see LATER in .ci/lock.py): {faults}"
    assert set(LATER) & valid == (set(LATER) if python == "3.13" else set())


def test_kernels_in_jupyterlab_are_started_as_those_of_the_runner():
    said = re.search(r"^KERNEL\s*:= (.*)$", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE)
    assert said[1].split() == [word for pair in KERNEL.items() for word in ("--env", *pair)]


def test_what_is_imported_is_asked_for():
    own = {"llinet_lite", *sys.stdlib_module_names}
    for path in sorted(PACKAGE.rglob("*.py")):
        for name, _ in imports(path):
            top = name.split(".")[0]
            if top not in own:
                package = canonicalize_name(NAMES.get(top, top))
                assert package in ASKED, f"{path.relative_to(ROOT)} imports {top}: see pyproject.toml"


def test_the_version_is_said_once():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert llinet_lite.__version__ == PROJECT["version"] == citation["version"]


def test_what_is_no_python_is_installed_too():
    """Every file beside the modules is matched by package-data."""
    patterns = TOML["tool"]["setuptools"]["package-data"]["llinet_lite"]
    for path in PACKAGE.rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts:
            name = path.relative_to(PACKAGE)
            assert any(name.match(pattern) for pattern in patterns), f"{name} would not be installed"


# ---- imports go downhill


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield (module, whether at the top of the file) for every import; relative ones in full."""
    tree = ast.parse(path.read_text("utf-8"))
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    top = set(map(id, tree.body))
    package = module_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                whole = f"{source}.{alias.name}"
                yield (whole if is_module(whole) else source), id(node) in top


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def part(module: str) -> str:
    """The room of a module of the package."""
    return module.partition(".")[2].partition(".")[0]


MODULES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_downhill(room):
    below = tuple(f"llinet_lite.{name}." for name in (room, *ROOMS[room].split()))
    for module, path in MODULES.items():
        if part(module) == room:
            own = [name for name, _ in imports(path) if name.startswith("llinet_lite") and part(name)]
            uphill = [name for name in own if not f"{name}.".startswith(below)]
            assert not uphill, f"{module} imports {uphill}"


def test_every_module_has_its_room():
    assert {part(module) for module in MODULES} - {""} == ROOMS.keys()


def test_no_name_occurs_twice():
    """Two files or two classes of one name are one notion in two places."""
    files = Counter(path.stem for path in MODULES.values() if path.name != "__init__.py")
    trees = [ast.parse(path.read_text("utf-8")) for path in MODULES.values()]
    classes = Counter(
        node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    )
    assert not [name for name, count in (files + classes).items() if count > 1]


def test_the_house_stays_small():
    """Lines and files of the package, lines of its tests: more than these is a second house."""
    package, tests = (sorted((ROOT / name).rglob("*.py")) for name in ("llinet_lite", "tests"))
    lines = [sum(len(path.read_text("utf-8").splitlines()) for path in paths) for paths in (package, tests)]
    assert len(package) <= 80 and lines[0] <= 21_000 and lines[1] <= 12_500, (len(package), *lines)


def test_there_is_one_loop():
    found = {path for path in MODULES.values() if "backward(" in path.read_text("utf-8")}
    assert {str(path.relative_to(PACKAGE)) for path in found} == BACKWARD


def test_no_circle():
    graph = nx.DiGraph(
        (m, name) for m, path in MODULES.items() for name, _ in imports(path) if name in MODULES
    )
    # a package's own __init__ lists what its modules offer; that is no circle between them
    graph.remove_nodes_from([m for m, path in MODULES.items() if path.name == "__init__.py"])
    circle = next(nx.simple_cycles(graph), None)
    assert circle is None, " -> ".join([*circle, circle[0]])


# ---- no network, no machine


def test_importing_the_package_opens_no_connection():
    """Every module, in a Python whose sockets refuse to connect."""
    code = (
        "import socket, importlib\n"
        "def refuse(*args, **kwargs): raise SystemExit(f'a connection was tried: {args}')\n"
        "for name in ('connect', 'connect_ex', 'sendto'): setattr(socket.socket, name, refuse)\n"
        "socket.create_connection = socket.getaddrinfo = refuse\n"
        f"for name in {[m for m in MODULES if not m.endswith('__main__')]!r}: importlib.import_module(name)\n"
        "print('done')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.endswith("done\n"), done.stdout + done.stderr


def files() -> list[Path]:
    """Text files of the project: what git tracks or would, else all that is not built."""
    git = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"]
    try:
        done = subprocess.run(git, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the project's files are known only in a git checkout")
    kinds = {".py", ".md", ".toml", ".yml", ".cff", ".lock", ".json", ".j2", ".js", ".css", ".ipynb", ""}
    paths = [ROOT / name for name in done.stdout.splitlines()]
    return [path for path in paths if path.suffix in kinds and path.is_file()]


MACHINE = re.compile(r"(?<![\w.~/:>}-])/(?:home|root|Users|mnt|work|opt)/[\w.]+|(?<![\w/])[A-Z]:\\\\\w+")


def test_no_file_names_a_path_of_one_machine():
    for path in files():
        if path.parent.name == "notebooks" and path.suffix == ".py":  # the gate, and what it must find
            continue
        text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", path.read_text("utf-8"))
        found = MACHINE.search(text)
        assert not found, f"{path.relative_to(ROOT)} names {found.group()}"


def test_the_package_does_not_know_its_notebooks():
    names = [path.stem for path in (ROOT / "notebooks").glob("*.ipynb")]
    for path in PACKAGE.rglob("*.py"):
        known = [name for name in names if f"{name}.ipynb" in path.read_text("utf-8")]
        assert not known, f"{path.relative_to(ROOT)} names {known}"


def test_ci_calls_the_test_command():
    assert "make test" in (ROOT / ".ci" / "run").read_text("utf-8").splitlines()[-1]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE)
    assert {"course", "test", "setup", "lab", "bench"} <= set(targets)

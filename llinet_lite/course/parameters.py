"""Notebook parameters: only those a notebook declares, in the type of its default.

papermill escapes a parameter's value but writes its name into the notebook as it
is, and only warns about a name that the notebook does not know. So names are
accepted here only if the cell tagged `parameters` assigns them.
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from pathlib import Path

from .errors import CourseError

# Set by options of the command line, never by `-p`.
RESERVED = {"profile": "--profile", "data": "--data", "retrain": "--retrain", "publish": "--publish"}
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Parameter:
    """One name that a notebook declares, with the default it gives it."""

    name: str
    default: object

    @property
    def kind(self) -> str:
        """The type in words, for messages."""
        if isinstance(self.default, (tuple, list)):
            inner = type(self.default[0]).__name__ if self.default else "value"
            return f"{type(self.default).__name__} of {inner}"
        return "any value" if self.default is None else type(self.default).__name__

    def __str__(self) -> str:
        return f"{self.name} ({self.kind}, default {self.default!r})"


def declared(notebook: Path) -> dict[str, Parameter]:
    """Return the parameters that a notebook's cell tagged `parameters` declares, by name.

    The cell is parsed as Python; papermill reads it line by line and loses a line
    with a second "=" in it, be it in a comment.

    Raises
    ------
    CourseError
        If the file is no notebook, or a line of the cell is anything but `name = plain value`.
    """
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise CourseError(f"{notebook} is not a notebook (nbformat 4): {error}") from error
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    found = {}
    for statement in _statements(notebook, "".join(tagged[0]["source"])) if tagged else []:
        try:
            target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
            found[target.id] = Parameter(target.id, ast.literal_eval(statement.value))
        except (AttributeError, ValueError, TypeError) as error:
            raise CourseError(
                f"{notebook.name}: {ast.unparse(statement)!r} in the parameters cell is not `name = plain "
                f"value`: move what is computed into the cell after it"
            ) from error
    return found


def _statements(notebook: Path, source: str) -> list[ast.stmt]:
    try:
        return ast.parse(source).body
    except SyntaxError as error:
        raise CourseError(f"{notebook.name}: the parameters cell is not valid Python: {error}") from error


def convert(parameter: Parameter, text: str) -> object:
    """Return `text` in the type of the parameter's default.

    Parameters
    ----------
    parameter : Parameter
    text : str
        As typed: "3", "1e-4", "true", "0,1,2" or "(0, 1, 2)" for a sequence.

    Raises
    ------
    CourseError
        If the text does not read as that type; the message names it.
    """
    try:
        return _convert(parameter.default, text.strip())
    except (ValueError, SyntaxError, KeyError) as error:
        raise CourseError(
            f"parameter {parameter.name}: {text!r} is not of its type: {parameter} is asked for"
        ) from error


def _convert(default: object, text: str) -> object:
    if isinstance(default, bool):
        return _TRUTH[text.lower()]
    if isinstance(default, int):
        return int(text)
    if isinstance(default, float):
        return float(text)
    if isinstance(default, str):
        return text
    if isinstance(default, (tuple, list)):
        items = [item.strip() for item in text.strip("()[] ").split(",") if item.strip()]
        values = [_convert(default[0], item) if default else ast.literal_eval(item) for item in items]
        return type(default)(values)
    return _literal(text)


def _literal(text: str) -> object:
    """Read a value whose type nothing tells: a number, a truth value, None, or the text itself."""
    if text.lower() in ("true", "false"):
        return _TRUTH[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def assign(
    given: list[tuple[str, str]], known: dict[str, dict[str, Parameter]]
) -> dict[str, dict[str, object]]:
    """Share out what was typed as `-p name value` among the notebooks that declare the name.

    Parameters
    ----------
    given : list of (name, text)
    known : dict
        Notebook name -> its declared parameters.

    Returns
    -------
    dict
        Notebook name -> {parameter: value}.

    Raises
    ------
    CourseError
        For a name that no notebook declares or that an option sets, a name given
        twice, or a value of another type.
    """
    values: dict[str, dict[str, object]] = {notebook: {} for notebook in known}
    names = [name for name, _ in given]
    for name, text in given:
        if names.count(name) > 1:
            raise CourseError(f"parameter {name} is given more than once")
        if name in RESERVED:
            raise CourseError(f"{name} is set by the option {RESERVED[name]}, not by -p")
        takers = [notebook for notebook, parameters in known.items() if name in parameters]
        if not takers:
            raise CourseError(f"no notebook of this run has a parameter {name!r}.\n{_listing(known)}")
        for notebook in takers:
            values[notebook][name] = convert(known[notebook][name], text)
    return values


def _listing(known: dict[str, dict[str, Parameter]]) -> str:
    lines = ["Valid parameters:"]
    for notebook, parameters in known.items():
        free = [str(p) for name, p in parameters.items() if name not in RESERVED]
        lines += [f"  {notebook}: {', '.join(free) or 'none'}"]
    return "\n".join(lines)

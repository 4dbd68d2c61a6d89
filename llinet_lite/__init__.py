"""Look, Listen and Infer, as a course and a small package.

One straight road leads from a sound and a picture to a number in a table:
`world` makes them, `data` packs them, `features` turns them into tensors,
`models` and `losses` learn from them, `metrics` measures, `results` writes
the number down with its interval, and `course` runs the notebooks.

Importing the package imports nothing heavy. `llinet doctor` says whether this
machine has all that the course needs.
"""

__version__ = "0.1.0"

"""What a stage refuses or fails with: told in one line, exit code 1.

TrainingError
├── RecipeError      the recipe can't be read, or a key of it is unknown or out of range
├── InputMissing     a file, or the stage that should have written it, is not there
├── InputInvalid     a file is there and wrong: a line that is cut off, an empty split
├── OutputInTheWay   the output folder holds another recipe's or another input's work
├── ModelMissing     the base model is neither on this machine nor to be had
├── TeacherFailed    the teacher can't be reached, or refuses the key or the model
└── CheckFailed      what a stage made is not what it must be
"""

from __future__ import annotations


class TrainingError(Exception):
    """Base of all. Its text is for the person at the command line."""


class RecipeError(TrainingError):
    pass


class InputMissing(TrainingError):
    pass


class InputInvalid(TrainingError):
    pass


class OutputInTheWay(TrainingError):
    pass


class ModelMissing(TrainingError):
    pass


class TeacherFailed(TrainingError):
    pass


class CheckFailed(TrainingError):
    pass

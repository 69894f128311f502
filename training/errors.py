"""Errors of the stages. A stage's command prints one as a single line and exits with status 1.

TrainingError
├── RecipeError      the recipe can't be read, or a key of it is unknown or out of range
├── InputMissing     a file is missing, or the stage that writes it has not finished
├── InputInvalid     a file's content is wrong: a truncated line, an empty split
├── OutputInTheWay   the output folder belongs to another recipe or other inputs
├── ModelMissing     the base model is not on this machine and can't be downloaded
├── TeacherFailed    the teacher can't be reached, or refuses the key or the model
└── CheckFailed      a check of a stage's own result failed
"""

from __future__ import annotations


class TrainingError(Exception):
    """Base class. The message is for the user at the command line."""


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

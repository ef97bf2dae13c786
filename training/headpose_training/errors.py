"""Errors that end a command with one line instead of a traceback."""


class TrainingError(ValueError):
    """Input that a person can mend; its message says what is wrong and what to do."""

"""The error of this room."""


class NoRule(NotImplementedError):
    """A program has an operation whose moments nobody has said how to compute."""

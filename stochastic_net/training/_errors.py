"""What a user's input can be wrong about, and what a user can ask for."""

from pathlib import Path


class InputError(ValueError):
    """Something the user gave (a file, a folder, a setting) cannot be used; says what to do."""


class Interrupted(Exception):
    """Training was asked to stop; everything up to `step` is saved in `folder`."""

    def __init__(self, folder: Path, mode: str, step: int) -> None:
        super().__init__(
            f"stopped in mode {mode} after step {step}; everything is saved in {folder}"
        )
        self.folder, self.mode, self.step = folder, mode, step

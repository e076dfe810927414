"""What a user's input can be wrong about."""


class InputError(ValueError):
    """Something the user gave (a file, a folder, a setting) cannot be used; says what to do."""


class Interrupted(Exception):
    """Training was asked to stop; everything up to `step` is saved."""

    def __init__(self, mode: str, step: int) -> None:
        super().__init__(f"stopped in mode {mode} after step {step}; everything is saved")
        self.mode, self.step = mode, step

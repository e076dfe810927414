"""The folder of a run: what lies where, made once, never overwritten without a word."""

import json
from pathlib import Path

from stochastic_net.training._config import Config, Mode
from stochastic_net.training._errors import InputError
from stochastic_net.training._files import write_whole


class RunFolder:
    """config.json, metrics.jsonl, checkpoints/MODE/STEP, report.json, report.md and the plots."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics = path / "metrics.jsonl"

    @classmethod
    def create(cls, path: Path | None, config: Config) -> "RunFolder":
        """A new folder; without a path the next free one of runs/NAME, runs/NAME-2, ..."""
        path = _next_free(Path("runs") / Path(config.data).stem) if path is None else path
        if path.exists():
            raise InputError(
                f"{path} exists already and is not overwritten. Continue it with --resume, or "
                "choose another --out."
            )
        path.mkdir(parents=True)
        config.save(path / "config.json")
        return cls(path)

    @classmethod
    def resume(cls, path: Path | None, config: Config) -> tuple["RunFolder", Config]:
        """An existing folder and its settings, which `config` may repeat but not change."""
        if path is None:
            raise InputError("--resume needs the run folder: --out RUN --resume.")
        folder, saved = cls.open(path)
        changed = config.differing(saved)
        if changed:
            raise InputError(
                f"{path} was started with other settings ("
                + ", ".join(
                    f"{n}={getattr(saved, n)!r}, not {getattr(config, n)!r}" for n in changed
                )
                + "); --resume continues a run as it was started."
            )
        return folder, saved

    @classmethod
    def open(cls, path: Path) -> tuple["RunFolder", Config]:
        """An existing folder and its settings."""
        if not path.is_dir():
            raise InputError(f"{path}: no such run folder.")
        return cls(path), Config.load(path / "config.json")

    def checkpoints(self, mode: Mode) -> Path:
        """Where the checkpoints of a mode lie."""
        return self.path / "checkpoints" / mode

    def log(self, mode: Mode, step: int, loss: float) -> None:
        """Append a line to metrics.jsonl."""
        with self.metrics.open("a") as file:
            file.write(json.dumps({"mode": mode, "step": step, "loss": loss}) + "\n")

    def logged(self) -> list[dict]:
        """The lines of metrics.jsonl; a last line cut short by a kill is left out."""
        lines = self.metrics.read_text().split("\n") if self.metrics.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def forget_after(self, mode: Mode, step: int) -> None:
        """Drop what a mode logged after `step`, which is about to be computed again."""
        kept = [row for row in self.logged() if row["mode"] != mode or row["step"] <= step]
        write_whole(self.metrics, "".join(json.dumps(row) + "\n" for row in kept))


def _next_free(path: Path) -> Path:
    number = 1
    while (free := path if number == 1 else path.with_name(f"{path.name}-{number}")).exists():
        number += 1
    return free

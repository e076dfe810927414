"""All that decides what a training run computes."""

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

from stochastic_net.training._errors import InputError
from stochastic_net.training._files import write_whole

Mode = Literal["plain", "sample", "moments"]

SENSED = ("digits", "mnist5k")  # images that the sensor measures; any other data is a file
_KEY_IMPLS = ("threefry2x32", "threefry4x32", "philox2x32", "philox4x32")


@dataclasses.dataclass(frozen=True)
class Config:
    """The settings of a run; together with the data file they fix every bit of the result."""

    data: str = "digits"
    """What to train on: digits (1,797 images, 8x8), mnist5k (5,000 images, 28x28), or FILE.npz
    with the arrays mean and var, of shape (examples, height, width) or (examples, height, width,
    channels), and label, of shape (examples,)."""
    mode: Literal["compare", "plain", "sample", "moments"] = "compare"
    """plain ignores the variance, sample draws from the pair, moments carries mean and variance
    through the network, compare trains all three, one by one."""
    epochs: int = 60
    """How often training sees every example."""
    batch_size: int = 64
    """Examples in a training step."""
    learning_rate: float = 2e-3
    """Adam's step size at the start; it falls to 0 along a cosine."""
    draws: int = 32
    """Draws that mode sample averages for a prediction."""
    photons: float = 50.0
    """Sensor: photons that a white pixel sends. Only for digits and mnist5k."""
    read_noise: float = 2.0
    """Sensor: standard deviation of the read-out, in photons."""
    dead: float = 0.05
    """Sensor: share of dead pixels, which report a number that has nothing to do with the light."""
    seed: int = 0
    """Decides the split, the sensor's noise, the initial parameters and all draws."""
    key_impl: str = "threefry4x32"
    """JAX's generator: threefry4x32 (the fastest on CPU), threefry2x32, philox2x32, philox4x32."""
    save_every: int = 200
    """Steps between two checkpoints."""

    def modes(self) -> tuple[Mode, ...]:
        """The modes to train, in order."""
        return ("plain", "sample", "moments") if self.mode == "compare" else (self.mode,)

    def check(self) -> "Config":
        """The settings with an absolute path to the data.

        Raises:
          InputError: the first setting that makes no sense.
        """
        for name in ("epochs", "batch_size", "draws", "save_every"):
            _expect(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        _expect("learning_rate", self.learning_rate, 0 < self.learning_rate < 1e3, "above 0")
        _expect("photons", self.photons, 0 < self.photons < 1e9, "above 0 and below 1e9")
        _expect("read_noise", self.read_noise, 0 <= self.read_noise < 1e9, "from 0 to 1e9")
        _expect("dead", self.dead, 0 <= self.dead <= 0.5, "a share from 0 to 0.5")
        _expect("seed", self.seed, 0 <= self.seed < 2**32, "from 0 to 2**32 - 1")
        if self.key_impl in ("rbg", "unsafe_rbg"):
            raise InputError(
                f"key_impl {self.key_impl} cannot be used: training gives every example a key of "
                f"its own, and such keys are not independent under jax.vmap. Use one of "
                f"{', '.join(_KEY_IMPLS)}."
            )
        _expect("key_impl", self.key_impl, self.key_impl in _KEY_IMPLS, " or ".join(_KEY_IMPLS))
        if self.data in SENSED:
            return self
        if not self.data.endswith(".npz"):
            raise InputError(f"data must be {', '.join(SENSED)} or a FILE.npz, got {self.data!r}.")
        return dataclasses.replace(self, data=str(Path(self.data).absolute()))

    def save(self, path: Path) -> None:
        """Write the settings as JSON."""
        write_whole(path, json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Config":
        """Read the settings that `save` wrote."""
        try:
            return cls(**json.loads(path.read_text())).check()
        except FileNotFoundError:
            raise InputError(
                f"{path.parent} is not a run folder: it holds no {path.name}."
            ) from None
        except (TypeError, ValueError) as error:
            raise InputError(f"{path} does not hold the settings of a run: {error}") from None

    def differing(self, other: "Config") -> list[str]:
        """The settings that were chosen here (they are not the default) and are another there."""
        default = Config()
        return [
            field.name
            for field in dataclasses.fields(self)
            if getattr(self, field.name)
            not in (getattr(default, field.name), getattr(other, field.name))
        ]


def _expect(name: str, value: Any, ok: bool, expected: str) -> None:
    if not ok:
        raise InputError(f"{name} must be {expected}, got {value}.")

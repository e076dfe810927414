"""What a training script needs: data, the jitted step, checkpoints, reports. Extra `train`."""

from stochastic_net.training._config import Config as Config
from stochastic_net.training._errors import InputError as InputError
from stochastic_net.training._errors import Interrupted as Interrupted
from stochastic_net.training._measurements import read_measurements as read_measurements
from stochastic_net.training._run import evaluate_run as evaluate_run
from stochastic_net.training._run import train as train
from stochastic_net.training._scores import Scores as Scores
from stochastic_net.training._scores import score as score
from stochastic_net.training._sensor import Sensor as Sensor
from stochastic_net.training._trained import Trained as Trained
from stochastic_net.training._trained import trained as trained

__all__ = [
    "Config",
    "InputError",
    "Interrupted",
    "Scores",
    "Sensor",
    "Trained",
    "evaluate_run",
    "read_measurements",
    "score",
    "train",
    "trained",
]

"""What a network with random values in it is trained by: built of estimators and divergences.

Each objective takes densities and distributions of one example (map it over a batch, with a key for
each) and returns `Parts`: the value, the log-likelihood, the divergence.
"""

from stochastic_net.objectives._elbo import elbo as elbo
from stochastic_net.objectives._expected_loss import expected_loss as expected_loss
from stochastic_net.objectives._information_bottleneck import (
    information_bottleneck as information_bottleneck,
)
from stochastic_net.objectives._iwae import iwae as iwae
from stochastic_net.objectives._parts import Parts as Parts
from stochastic_net.objectives._vimco import vimco as vimco

__all__ = ["Parts", "elbo", "expected_loss", "information_bottleneck", "iwae", "vimco"]

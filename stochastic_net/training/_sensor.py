"""A camera: from an image to the mean and the variance that it would report."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Sensor:
    r"""A Poisson-Gaussian sensor with dead pixels (Foi et al. 2008, IEEE TIP 17(10)).

    A pixel of brightness s in [0, 1] sends Poisson(photons * s) photons; the read-out adds
    N(0, read_noise^2). The camera knows the count n that it read, and reports brightness and
    variance as a camera must, from the count alone:

        mean = n / photons,     var = (max(n, 0) + read_noise^2) / photons^2.

    A share `dead` of the pixels, other ones in each image, reports a number uniform in [0, 1]
    with the variance 1/3 that such a number has around a black or a white pixel.

    At noise level t the camera sees `photons / t` photons and has `dead * t` dead pixels; at level
    0 it reports the image itself with variance 0.
    """

    photons: float
    read_noise: float
    dead: float

    def measure(
        self, images: np.ndarray, level: float, seed: tuple[int, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance, float32 and of the images' shape, of brightnesses in [0, 1]."""
        if level == 0:
            return images.astype(np.float32), np.zeros_like(images, np.float32)
        rng = np.random.default_rng(seed)
        photons = self.photons / level
        count = rng.poisson(images * photons) + self.read_noise * rng.normal(size=images.shape)
        var = (np.maximum(count, 0) + self.read_noise**2) / photons**2
        dead = rng.random(images.shape) < self.dead * level
        stuck = rng.random(images.shape)
        mean = np.where(dead, stuck, count / photons)
        return mean.astype(np.float32), np.where(dead, 1 / 3, var).astype(np.float32)

"""The continuous laws in float64, beside the library and independent of it.

A `Law` has what scipy's frozen laws have (cdf, ppf, isf) and `slopes`: how a draw moves with each
parameter. LAWS has the numbers, one function a family, with the parameters of
`stochastic_net.distributions`; SETTINGS what they are measured at.
"""

import functools
import math
from collections.abc import Callable

import _truth
import numpy as np
from scipy import special, stats


@functools.cache
def unit_nodes(step=0.01):
    """Nodes u, 1 - u and weights of the double-exponential rule on (0, 1)."""
    tau = np.arange(-3.15, 3.15, step)
    y = np.pi * np.sinh(tau)
    u, rest = special.expit(y), special.expit(-y)
    return u, rest, step * np.pi * np.cosh(tau) * u * rest


class Law:
    """A law of numbers: a frozen law of scipy (or what looks like one) and `slopes`."""

    def __init__(self, frozen, slopes: dict[str, Callable], low=-math.inf, high=math.inf):
        self.cdf, self.ppf, self.isf = frozen.cdf, frozen.ppf, frozen.isf
        self.slopes, self.low, self.high = slopes, low, high

    def expect(self, f):
        """E f, by quadrature over the quantiles from both ends."""
        u, rest, weights = unit_nodes()
        with np.errstate(all="ignore"):
            values = f(np.where(u < 0.5, self.ppf(u), self.isf(rest)))
        return (weights * values).sum(-1)

    def centre(self):
        """The median and the distance between the quartiles: what test functions are scaled by."""
        median, low, high = float(self.ppf(0.5)), float(self.ppf(0.25)), float(self.isf(0.25))
        return median, high - low

    def tests(self):
        """Test functions and their derivatives: odd, even and neither, all bounded."""
        median, width = self.centre()

        def t(z):
            return (z - median) / width

        def bell(z):
            with np.errstate(over="ignore"):
                return np.exp(-0.5 * (t(z) - 1) ** 2)

        return {
            "tanh": (lambda z: np.tanh(t(z)), lambda z: (1 - np.tanh(t(z)) ** 2) / width),
            "tanh^2": (
                lambda z: np.tanh(t(z)) ** 2,
                lambda z: 2 * np.tanh(t(z)) * (1 - np.tanh(t(z)) ** 2) / width,
            ),
            "bell": (bell, lambda z: -(t(z) - 1) * bell(z) / width),
        }


class Quantiles:
    """A law given by its cdf and its quantile from either end."""

    def __init__(self, cdf, quantile):
        self.cdf = cdf
        self.ppf = lambda q: quantile(q, 1 - np.asarray(q))
        self.isf = lambda q: quantile(1 - np.asarray(q), q)


def location_scale(frozen, loc, scale):
    return Law(frozen(loc, scale), {"loc": np.ones_like, "scale": lambda z: (z - loc) / scale})


def gaussian(mean, var):
    law = stats.norm(mean, math.sqrt(var))
    return Law(law, {"mean": np.ones_like, "var": lambda z: (z - mean) / (2 * var)})


def log_normal(loc, scale):
    slopes = {"loc": lambda z: z, "scale": lambda z: z * (np.log(z) - loc) / scale}
    return Law(stats.lognorm(scale, scale=math.exp(loc)), slopes, low=0)


def truncated_gaussian(loc, scale, low, high):
    a, b = (low - loc) / scale, (high - loc) / scale

    def standard(z):
        return _truth.truncated_normal_slopes(a, b, (z - loc) / scale)

    def by_loc(z):
        by_low, by_high = standard(z)
        return 1 - by_low - by_high

    def by_scale(z):
        by_low, by_high = standard(z)
        ends = sum(s * end for s, end in ((by_low, a), (by_high, b)) if math.isfinite(end))
        return (z - loc) / scale - ends

    slopes = {"loc": by_loc, "scale": by_scale}
    slopes |= {"low": lambda z: standard(z)[0], "high": lambda z: standard(z)[1]}
    return Law(stats.truncnorm(a, b, loc, scale), slopes, low, high)


def half_normal(scale):
    return Law(stats.halfnorm(scale=scale), {"scale": lambda z: z / scale}, low=0)


def student_t(df, loc, scale):
    law = location_scale(lambda loc, scale: stats.t(df, loc, scale), loc, scale)
    law.slopes["df"] = lambda z: scale * _truth.t_slope(df, (z - loc) / scale)
    return law


def exponential(rate):
    return Law(stats.expon(scale=1 / rate), {"rate": lambda z: -z / rate}, low=0)


def uniform(low, high):
    width = high - low
    slopes = {"low": lambda z: (high - z) / width, "high": lambda z: (z - low) / width}
    return Law(stats.uniform(low, width), slopes, low, high)


def weibull(scale, concentration):
    slopes = {
        "scale": lambda z: z / scale,
        "concentration": lambda z: -z * np.log(z / scale) / concentration,
    }
    return Law(stats.weibull_min(concentration, scale=scale), slopes, low=0)


def pareto(scale, alpha):
    slopes = {"scale": lambda z: z / scale, "alpha": lambda z: -z * np.log(z / scale) / alpha}
    return Law(stats.pareto(alpha, scale=scale), slopes, low=scale)


def kumaraswamy(concentration1, concentration0):
    a, b = concentration1, concentration0

    def rest(x):
        return -np.expm1(a * np.log(x))

    def by_concentration0(x):
        return x * rest(x) * np.log1p(-(x**a)) / (a * b * x**a)

    frozen = Quantiles(
        lambda x: -np.expm1(b * np.log(rest(x))),
        lambda q, r: np.exp(
            np.log(-np.expm1(np.where(q < 0.5, np.log1p(-np.minimum(q, 0.5)), np.log(r)) / b)) / a
        ),
    )
    slopes = {
        "concentration1": lambda x: -x * np.log(x) / a,
        "concentration0": by_concentration0,
    }
    return Law(frozen, slopes, low=0, high=1)


def gamma(concentration, rate):
    slopes = {
        "concentration": lambda z: z * _truth.log_gamma_slope(concentration, np.log(z * rate)),
        "rate": lambda z: -z / rate,
    }
    return Law(stats.gamma(concentration, scale=1 / rate), slopes, low=0)


def inverse_gamma(concentration, rate):
    slopes = {
        "concentration": lambda z: -z * _truth.log_gamma_slope(concentration, np.log(rate / z)),
        "rate": lambda z: z / rate,
    }
    return Law(stats.invgamma(concentration, scale=rate), slopes, low=0)


def beta(concentration1, concentration0):
    a, b = concentration1, concentration0

    def logit(x):
        return np.log(x) - np.log1p(-x)

    slopes = {
        "concentration1": lambda x: x * (1 - x) * _truth.logit_beta_slope(a, b, logit(x)),
        "concentration0": lambda x: -x * (1 - x) * _truth.logit_beta_slope(b, a, -logit(x)),
    }
    return Law(stats.beta(a, b), slopes, low=0, high=1)


class InverseGaussian(Law):
    """Quadrature in log z, for scipy has no quick quantile of a narrow one."""

    def __init__(self, loc, concentration):
        mean = loc / concentration
        frozen = stats.invgauss(mean, scale=concentration)
        slopes = {"loc": lambda z: _truth.wald_slope(mean, z / concentration)}
        slopes["concentration"] = lambda z: z / concentration - mean * slopes["loc"](z)
        super().__init__(frozen, slopes, low=0)
        self.loc, self.mean = loc, mean

    def expect(self, f):
        reach = np.array(math.acosh(1 + 60 * self.mean) + 0.1)  # e^-60, less a power of z

        def integrand(t):
            height = -(np.sinh(t / 2) ** 2) * 2 / self.mean - t / 2
            return f(self.loc * np.exp(t)) * np.exp(height) / math.sqrt(2 * math.pi * self.mean)

        return _truth.interval(integrand, -reach, reach, 40)


def generalized_normal(loc, scale, power):
    law = location_scale(lambda loc, scale: stats.gennorm(power, loc, scale), loc, scale)

    def by_power(z):
        size = np.log(np.abs(z - loc) / scale)
        slope = _truth.log_gamma_slope(1 / power, power * size)
        return -(z - loc) / power * (size + slope / power**2)

    law.slopes["power"] = by_power
    return law


class VonMises(Law):
    """On the circle: test functions have the period 2 pi, and quadrature goes once around."""

    def __init__(self, loc, concentration):
        self.loc, self.kappa, self.low, self.high = loc, concentration, -math.pi, math.pi
        self.slopes = {"loc": np.ones_like, "concentration": self._by_concentration}

    def _angle(self, z):
        return np.arctan2(np.sin(z - self.loc), np.cos(z - self.loc))

    def _by_concentration(self, z):
        return _truth.von_mises_slope(self.kappa, self._angle(z))

    def _density(self, angle):
        size = 2 * math.pi * special.ive(0, self.kappa)
        return np.exp(-2 * self.kappa * np.sin(angle / 2) ** 2) / size

    def _reach(self):
        """Half the interval outside which the density is below e^-80 of its peak."""
        return 2 * math.asin(math.sqrt(min(1, 40 / max(self.kappa, 1e-9))))

    def expect(self, f):
        reach = np.array(self._reach())
        return _truth.interval(lambda t: f(t + self.loc) * self._density(t), -reach, reach, 40)

    def cdf(self, z):
        """P(draw <= z) from -pi on, by interpolation of an exact table about `loc`."""
        grid = self._reach() * np.sin(np.linspace(-np.pi / 2, np.pi / 2, 4001))
        mass = _truth.interval(self._density, grid[:-1], grid[1:], 1, 12)
        mass = np.append(0, np.cumsum(mass))
        ends = np.interp(self._angle(np.array([-np.pi])), grid, mass)
        inside = np.interp(self._angle(np.clip(z, -np.pi, np.pi)), grid, mass) - ends
        return np.where(np.abs(z) < np.pi, inside % 1, np.float64(np.asarray(z) > 0))

    def centre(self):
        return self.loc, min(2.0, 1.35 / math.sqrt(self.kappa + 1e-9))

    def tests(self):
        return {
            "sin": (np.sin, np.cos),
            "cos": (np.cos, lambda z: -np.sin(z)),
            "sin 2z": (lambda z: np.sin(2 * z), lambda z: 2 * np.cos(2 * z)),
        }


def binary_concrete(temperature, logits):
    t = temperature
    frozen = Quantiles(
        lambda x: special.expit(t * special.logit(x) - logits),
        lambda q, r: special.expit((logits + np.log(q) - np.log(r)) / t),
    )

    def by_logits(z):
        return z * (1 - z) / t

    slopes = {
        "logits": by_logits,
        "temperature": lambda z: -by_logits(z) * (np.log(z) - np.log1p(-z)),
    }
    return Law(frozen, slopes, low=0, high=1)


class Mixture(Law):
    """Of normal laws: logits, mean and var are arrays, and so are the slopes' last axes."""

    def __init__(self, logits, mean, var):
        self.weights = special.softmax(logits)
        self.mean, self.std = np.asarray(mean), np.sqrt(var)
        self.low, self.high = -math.inf, math.inf
        self.slopes = {"logits": self._by_logits, "mean": self._by_mean, "var": self._by_var}

    def _standard(self, z):
        return (np.asarray(z)[..., None] - self.mean) / self.std

    def cdf(self, z):
        return (self.weights * special.ndtr(self._standard(z))).sum(-1)

    def _parts(self, z):
        t = self._standard(z)
        return self.weights * np.exp(-t * t / 2) / math.sqrt(2 * math.pi) / self.std

    def _by_logits(self, z):
        t, density = self._standard(z), self._parts(z).sum(-1, keepdims=True)
        # Of the two tails the one in which the components' masses do not cancel to rounding.
        lower, upper = special.ndtr(t), special.ndtr(-t)
        below = (self.weights * lower).sum(-1, keepdims=True)
        above = (self.weights * upper).sum(-1, keepdims=True)
        change = np.where(below < 0.5, lower - below, above - upper)
        return -self.weights * change / density

    def _by_mean(self, z):
        parts = self._parts(z)
        return parts / parts.sum(-1, keepdims=True)

    def _by_var(self, z):
        return self._by_mean(z) * self._standard(z) / (2 * self.std)

    def expect(self, f):
        low, high = (self.mean - 40 * self.std).min(), (self.mean + 40 * self.std).max()
        cuts = (self.mean[:, None] + self.std[:, None] * np.arange(-40, 41)).ravel()
        edges = np.unique(np.clip(cuts, low, high))
        density = lambda z: self._parts(z).sum(-1)  # noqa: E731
        return _truth.interval(lambda z: f(z) * density(z), edges[:-1], edges[1:], 1).sum(-1)

    def centre(self):
        mean = self.weights @ self.mean
        return mean, math.sqrt(self.weights @ (self.std**2 + (self.mean - mean) ** 2))


LAWS = {
    "Gaussian": gaussian,
    "LogNormal": log_normal,
    "TruncatedGaussian": truncated_gaussian,
    "HalfNormal": half_normal,
    "StudentT": student_t,
    "Laplace": functools.partial(location_scale, stats.laplace),
    "Logistic": functools.partial(location_scale, stats.logistic),
    "Cauchy": functools.partial(location_scale, stats.cauchy),
    "Gumbel": functools.partial(location_scale, stats.gumbel_r),
    "Exponential": exponential,
    "Uniform": uniform,
    "Weibull": weibull,
    "Kumaraswamy": kumaraswamy,
    "Pareto": pareto,
    "Gamma": gamma,
    "InverseGamma": inverse_gamma,
    "Beta": beta,
    "InverseGaussian": InverseGaussian,
    "GeneralizedNormal": generalized_normal,
    "VonMises": VonMises,
    "BinaryConcrete": binary_concrete,
    "Mixture": Mixture,
}

_PLACES = [{"loc": 0.5, "scale": 1.5}, {"loc": 0.0, "scale": 1e-12}]
_MIX = {"logits": [0.3, -0.5, 0.1], "mean": [-2.0, 0.5, 3.0], "var": [0.5, 1.0, 2.0]}
_RARE = {"logits": [0.0, -3.0, 3.0], "mean": [-1.0, 2.0, 0.0], "var": [0.1, 1.0, 0.5]}

# The first setting is a moderate one, the others are extremes.
SETTINGS: dict[str, list[dict]] = {
    "Gaussian": [{"mean": 1.0, "var": 2.0}, {"mean": 0.0, "var": 1e-12}],
    "LogNormal": [{"loc": 0.2, "scale": 0.8}, {"loc": -3.0, "scale": 5.0}],
    "TruncatedGaussian": [
        {"loc": 0.5, "scale": 2.0, "low": -1.0, "high": 3.0},
        {"loc": 0.0, "scale": 1.0, "low": 5.5, "high": 20.0},
        {"loc": 0.0, "scale": 1.0, "low": 10.0, "high": 10.5},
    ],
    "HalfNormal": [{"scale": 1.3}, {"scale": 1e12}],
    "StudentT": [
        {"df": 3.0, "loc": 0.5, "scale": 1.5},
        {"df": 0.3, "loc": 0.0, "scale": 1.0},
        {"df": 1e4, "loc": 0.0, "scale": 1.0},
    ],
    "Laplace": _PLACES,
    "Logistic": _PLACES,
    "Cauchy": _PLACES,
    "Gumbel": _PLACES,
    "Exponential": [{"rate": 0.7}, {"rate": 1e12}],
    "Uniform": [{"low": -1.0, "high": 2.0}, {"low": -1e30, "high": 1e30}],
    "Weibull": [
        {"scale": 1.5, "concentration": 1.7},
        {"scale": 1.0, "concentration": 0.1},
        {"scale": 1.0, "concentration": 50.0},
    ],
    "Kumaraswamy": [
        {"concentration1": 2.0, "concentration0": 3.0},
        {"concentration1": 0.05, "concentration0": 0.5},
        {"concentration1": 30.0, "concentration0": 50.0},
    ],
    "Pareto": [{"scale": 1.5, "alpha": 3.0}, {"scale": 1.0, "alpha": 0.2}],
    "Gamma": [
        {"concentration": 2.5, "rate": 1.5},
        {"concentration": 0.02, "rate": 1.0},
        {"concentration": 1e6, "rate": 1.0},
    ],
    "InverseGamma": [
        {"concentration": 2.5, "rate": 1.5},
        {"concentration": 0.1, "rate": 1.0},
        {"concentration": 1e6, "rate": 1.0},
    ],
    "Beta": [
        {"concentration1": 2.0, "concentration0": 3.0},
        {"concentration1": 0.02, "concentration0": 0.03},
        {"concentration1": 1e5, "concentration0": 1e3},
    ],
    "InverseGaussian": [
        {"loc": 1.0, "concentration": 1.0},
        {"loc": 30.0, "concentration": 1.0},
        {"loc": 1.0, "concentration": 1e4},
    ],
    "GeneralizedNormal": [
        {"loc": 0.5, "scale": 1.5, "power": 1.5},
        {"loc": 0.0, "scale": 1.0, "power": 0.3},
        {"loc": 0.0, "scale": 1.0, "power": 30.0},
    ],
    "VonMises": [
        {"loc": 0.5, "concentration": 2.0},
        {"loc": 0.0, "concentration": 1e-2},
        {"loc": 0.0, "concentration": 1e4},
    ],
    "BinaryConcrete": [{"temperature": 0.7, "logits": 0.5}, {"temperature": 0.1, "logits": 0.5}],
    "Mixture": [_MIX, _RARE],
}


def law_at(name: str, setting: dict) -> Law:
    """The law at the very float32 numbers that the libraries are given."""
    return LAWS[name](**exact(setting))


def exact(setting: dict) -> dict:
    """Parameters rounded to float32, in float64."""
    rounded = {k: np.asarray(np.float32(v), np.float64) for k, v in setting.items()}
    return {k: v if v.ndim else float(v) for k, v in rounded.items()}


# Parameters that no draw moves faster than.
_PLACE = ("loc", "mean", "low", "high", "lower", "upper")


def _step(make: Callable[..., Law], setting: dict, parameter: str, place: tuple) -> float:
    """So small that the draws move by 1 % of their width, and the parameter keeps its sign."""
    law, value = make(**setting), np.asarray(setting[parameter])
    median, width = law.centre()
    if parameter in _PLACE:
        return 0.01 * width
    if parameter == "logits":
        return min(0.01 * width, 0.02)
    size = np.abs(value).max()
    if not hasattr(law, "ppf"):
        speed = np.abs(law.slopes[parameter](median + width * np.array([-0.4, 0.3]))).max()
    else:
        moved, at = make(**setting | {parameter: value * (1 + 1e-4)}), np.array([0.25, 0.8])
        speed = np.abs(moved.ppf(at) - law.ppf(at)).max() / (1e-4 * size)
    own = np.abs(value[place]) or size
    return float(min(0.02 * own, 0.01 * width / max(speed, 1e-300)))


def true_gradients(make: Callable[..., Law], setting: dict, parameter: str) -> np.ndarray:
    """d E f / d parameter, shape (test functions, *parameter): central differences of order four.

    The test functions are those of the law at the setting.
    """
    setting = exact(setting)
    law = make(**setting)
    functions = [f for f, _ in law.tests().values()]
    value = np.asarray(setting[parameter])
    out = np.empty((len(functions), *value.shape))
    for place in np.ndindex(value.shape):
        step = _step(make, setting, parameter, place)
        change = np.zeros_like(value)
        change[place] = step
        ends = [make(**setting | {parameter: value + k * change}) for k in (-2, -1, 1, 2)]
        for i, f in enumerate(functions):
            values = [law.expect(f) for law in ends]
            out[(i, *place)] = np.dot(values, [1, -8, 8, -1]) / (12 * step)
    return out


def slope_gradients(law: Law, parameter: str) -> np.ndarray:
    """The same by the other truth, E f'(z) dz/dtheta; the two have to agree."""

    def moved(z, derivative):
        slope = np.asarray(law.slopes[parameter](z))
        slope = np.moveaxis(slope, -1, 0) if slope.ndim > np.ndim(z) else slope
        return np.nan_to_num(derivative(z) * slope)  # 0 where the draw underflows to an end

    with np.errstate(all="ignore"):
        return np.stack([law.expect(lambda z, d=d: moved(z, d)) for _, d in law.tests().values()])

"""Laws in float64 of which scipy has none, or not as we need it: log density, cdf, quantiles."""

import numpy as np
import scipy.special as special
import scipy.stats as stats


def log_density(law, x):
    with np.errstate(all="ignore"):
        return law.logpmf(x) if hasattr(law, "logpmf") else law.logpdf(x)


class Law:
    """A law given by its cdf, of which scipy has none."""

    def expect(self, f):
        """E f by Gauss-Legendre quadrature over the probability, from either end."""
        edges = np.concatenate([np.geomspace(1e-300, 1e-6, 150), np.geomspace(2e-6, 0.5, 80)])
        nodes, weights = np.polynomial.legendre.leggauss(20)
        half = (edges[1:] - edges[:-1])[:, None] / 2
        q = (edges[1:] + edges[:-1])[:, None] / 2 + half * nodes
        with np.errstate(all="ignore"):
            terms = half * weights * (f(self.ppf(q)) + f(self.isf(q)))
        return terms[np.isfinite(terms)].sum()

    def mean(self):
        return self.expect(lambda z: z)

    def var(self):
        mean = self.mean()
        return self.expect(lambda z: (z - mean) ** 2)

    def entropy(self):
        return -self.expect(self.logpdf)


class Kumaraswamy(Law):
    def __init__(self, concentration1, concentration0):
        self.a, self.b = concentration1, concentration0

    def logpdf(self, x):
        log_x = np.log(x)
        rest = np.log(-np.expm1(self.a * log_x))
        return np.log(self.a * self.b) + (self.a - 1) * log_x + (self.b - 1) * rest

    def cdf(self, x):
        return -np.expm1(self.b * np.log(-np.expm1(self.a * np.log(x))))

    def ppf(self, q):
        return np.exp(np.log(-np.expm1(np.log1p(-q) / self.b)) / self.a)

    def isf(self, q):
        return np.exp(np.log(-np.expm1(np.log(q) / self.b)) / self.a)


class BinaryConcrete(Law):
    def __init__(self, temperature, logits):
        self.t, self.l = temperature, logits

    def logpdf(self, x):
        y = self.t * special.logit(x) - self.l
        log_density = special.log_expit(y) + special.log_expit(-y)
        return np.log(self.t) + log_density - np.log(x) - np.log1p(-x)

    def cdf(self, x):
        return special.expit(self.t * special.logit(x) - self.l)

    def ppf(self, q):
        return special.expit((self.l + special.logit(q)) / self.t)

    def isf(self, q):
        return special.expit((self.l - special.logit(q)) / self.t)


class VonMises:
    """scipy's, on [-pi, pi] wherever its mean direction is; its variance is the circular one."""

    def __init__(self, loc, concentration):
        self.loc, self.k = loc, concentration
        self.law = stats.vonmises(kappa=max(concentration, 1e-12))

    def logpdf(self, x):
        half = np.sin((x - self.loc) / 2)
        return -2 * self.k * half * half - np.log(2 * np.pi * special.i0e(self.k))

    def cdf(self, x):
        return self.law.cdf(x - self.loc) - self.law.cdf(-np.pi - self.loc)

    def ppf(self, q):
        return self.law.ppf(q) + self.loc  # not wrapped: for functions of period 2 pi

    def mean(self):
        return self.loc

    def var(self):
        if self.k > 1e3:  # DLMF 10.40.1
            return 1 / (2 * self.k) + 1 / (8 * self.k**2) + 1 / (8 * self.k**3)
        return 1 - special.ive(1, self.k) / special.ive(0, self.k)

    def entropy(self):
        return np.log(2 * np.pi * special.i0e(self.k)) + self.k * self.var()


class Categorical:
    def __init__(self, logits):
        self.p = special.softmax(logits)
        self.low, self.high = 0, len(self.p) - 1

    def logpmf(self, k):
        with np.errstate(divide="ignore"):
            return np.log(self.p)[np.asarray(k).astype(int)]

    def cdf(self, x):
        return np.append(0.0, np.cumsum(self.p))[
            np.clip(np.floor(x) + 1, 0, len(self.p)).astype(int)
        ]

    def ppf(self, q):
        return np.searchsorted(np.cumsum(self.p), q)

    def mean(self):
        return (self.p * np.arange(len(self.p))).sum()

    def var(self):
        return (self.p * (np.arange(len(self.p)) - self.mean()) ** 2).sum()

    def entropy(self):
        return -special.xlogy(self.p, self.p).sum()

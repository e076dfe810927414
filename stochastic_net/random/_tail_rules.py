"""Quadrature rules fitted to the integrals of e^-E that the derivatives of a draw are.

E is convex, so that the integrands of one law are a family of few dimensions, for which two thirds
of Gauss and Legendre's nodes do as well (generalised Gaussian quadrature: Ma, Rokhlin & Wandzura
1996). That is for float32; float64 has Gauss and Legendre's own. `benchmarks/tail_rules.py` finds
them; for parameters and draws it did not fit them to, the relative errors of the integrals are

  gamma 1e-6, beta 3e-6, Student's t 2e-7, von Mises 2e-6 for 99 in 100 of them, and at most
  gamma 3e-6, beta 4e-5, Student's t 4e-6, von Mises 8e-6.
"""

import numpy as np

from stochastic_net.random._quadrature import Rule, Rules, gauss


def _fitted(cut: float, *rows: tuple[float, float]) -> Rule:
    """Of nodes, each with its weight."""
    nodes, weights = np.array(rows).T
    return Rule(nodes, weights, cut)


GAMMA = Rules(
    _fitted(
        15.0,
        (0.010286107, 0.026297923),
        (0.053436197, 0.059636732),
        (0.128599469, 0.090035181),
        (0.231500250, 0.114334041),
        (0.353814140, 0.128578968),
        (0.486603882, 0.137147451),
        (0.632090464, 0.158105247),
        (0.819135389, 0.231365516),
    ),
    gauss(32, cut=35.0),
)
BETA = Rules(
    _fitted(
        15.0,
        (0.010105492, 0.025849581),
        (0.052582199, 0.058776723),
        (0.126816016, 0.089127445),
        (0.229039174, 0.113946729),
        (0.351078967, 0.128177142),
        (0.482805802, 0.135224232),
        (0.625307754, 0.154080801),
        (0.808914465, 0.232092754),
    ),
    gauss(32, cut=35.0),
)
STUDENT_T = Rules(
    _fitted(
        14.0,
        (0.010375688, 0.046415482),
        (0.111322741, 0.134484491),
        (0.257701441, 0.157401955),
        (0.426112689, 0.179568776),
        (0.616934483, 0.201446511),
        (0.819005515, 0.189793427),
        (0.964917535, 0.090889451),
    ),
    gauss(40, cut=38.0),
)
VON_MISES = Rules(
    _fitted(
        13.0,
        (0.016354233, 0.041714653),
        (0.084122357, 0.092785378),
        (0.200038078, 0.138524368),
        (0.361565849, 0.185486380),
        (0.574235636, 0.241899274),
        (0.846714019, 0.299590764),
    ),
    gauss(32, cut=40.0),
)

"""Bessel's I_0 and I_1 on the half line, as the law on the circle needs them."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import i0e

from stochastic_net._types import Array
from stochastic_net.random._chebyshev import half_line_series
from stochastic_net.random._elementary import polynomial, reciprocal, root

# Quotients of polynomials in t = 1 / (1 + kappa), reweighted least squares from 40 digits:
# (1 + kappa)^(1/2) e^-kappa I_0(kappa), to 3e-8 (the constant 1.04 rounds best),
_I0 = (
    (
        *(0.414899959, -2.02414882, 12.7823528, -11.5127158),
        *(67.8226501, 103.197419, 57.7775106, 783.009094),
    ),
    (
        *(1.04, -5.72381396, 34.9631361, -48.0780615, 185.172188),
        *(98.3071024, 331.850313, 356.504924, 57.431305),
    ),
)
# and (1 + kappa) (1 - I_1(kappa) / I_0(kappa)), to 1.6e-7.
_DISPERSION = (
    (
        *(0.499999919, -3.45964264, 22.396105, -36.4660581),
        *(145.629003, 371.613105, -887.561445, 7707.57347),
    ),
    (
        *(1.0, -8.16942326, 53.2738563, -129.220697, 407.358057),
        *(-100.985797, 1219.47385, 511.661551, 5365.83432),
    ),
)
_SCALE = 5.0
# (1 + kappa)^(3/2) e^-kappa (I_0(kappa) - I_1(kappa)) in Chebyshev polynomials of
# (kappa - 5) / (kappa + 5), from 50 digits.
_GAP = np.array(
    [
        0.467775359908102741,
        -0.399624544593613244,
        0.166004551913709812,
        -0.025307211400930012,
        -0.0254183001271437848,
        0.0244329394514972147,
        -0.00990809799901911684,
        0.000740693784333045677,
        0.00131656127515258277,
        -0.000583107564413812806,
        -0.0000295425164746844225,
        0.0000889284136709906047,
        -6.68224241473018264e-6,
        -0.0000141419605343970224,
        2.00033438931017683e-6,
        2.40222466009741107e-6,
        -3.08078928117210018e-7,
        -4.66940059190246356e-7,
        2.3210909357114177e-8,
        9.43942479538532479e-8,
        8.08999347817428586e-9,
        -1.83940667504931202e-8,
        -5.07412956858970114e-9,
        2.95764988414050191e-9,
        1.8019282837055754e-9,
        -2.25652872181521821e-10,
        -4.76816308462091677e-10,
        -8.32793366931650558e-11,
        8.89630114392040827e-11,
        4.88575959373106873e-11,
        -5.50514028574555519e-12,
        -1.42250630892594037e-11,
        -3.84990113467158661e-12,
        2.1979083442042956e-12,
        1.88477830869283705e-12,
        1.9414935819301905e-13,
        -4.23750560258085166e-13,
        -2.38817993279014199e-13,
        8.72680932670640126e-15,
        7.04858677270355856e-14,
        3.10781636049502379e-14,
        -4.88645708814369455e-15,
        -1.13570253163259149e-14,
        -4.36866524357122813e-15,
        1.05195191907106891e-15,
        1.84823540650700112e-15,
        6.85276844619882322e-16,
        -1.78586203547254725e-16,
        -3.07729284898931997e-16,
        -1.20536338416200979e-16,
        2.51306428472549918e-17,
        5.21872912495965417e-17,
        2.32278412883765268e-17,
        -2.41646005026210204e-18,
        -8.85591402780451747e-18,
        -4.72385339170118637e-18,
    ]
)


def scaled_i0(kappa: Array) -> Array:
    """e^-kappa I_0(kappa)."""
    if kappa.dtype != jnp.float32:
        return i0e(kappa)
    t = reciprocal(1 + kappa)
    return root(t) * _quotient(_I0, t)


def dispersion(kappa: Array) -> Array:
    """1 - I_1(kappa) / I_0(kappa), which is 1 - E cos Z of the von Mises law."""
    if kappa.dtype != jnp.float32:
        gap = half_line_series(_GAP, _SCALE, kappa)
        return gap / ((1 + kappa) * jnp.sqrt(1 + kappa) * i0e(kappa))
    t = reciprocal(1 + kappa)
    return t * _quotient(_DISPERSION, t)


def _quotient(coefficients: tuple[Sequence[float], Sequence[float]], t: Array) -> Array:
    above, below = coefficients
    return polynomial(above, t) * reciprocal(polynomial(below, t))

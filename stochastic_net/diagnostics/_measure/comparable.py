"""In which arguments a bias can be looked for, and why not in the others."""

from stochastic_net.diagnostics._measure.bias import Comparisons
from stochastic_net.diagnostics._measure.statistics import Statistics
from stochastic_net.diagnostics._static.structure import Structure

DECLARED = (
    "a stop_gradient or a derivative rule is on the path: the value is not what is differentiated"
)
JUMPS = "the output jumps as it moves, and no noise smooths that"
ENDS = "its derivative ends on the way"
ROUNDED = "16-bit floats on the path: the difference of two values is lost in their rounding"
ZERO = "its gradient is zero"
FEW = "jumps too rare to count over these keys: more num_samples"

_SMOOTH, _JUMPING, _DOUBTFUL = "smooth", "jumping", "doubtful"


def comparable(
    found: Structure, at: Statistics, watched: list[int]
) -> tuple[Comparisons, dict[int, str]]:
    """How each watched leaf is tested, and why the others are not; both by their numbers."""
    tests, reasons = Comparisons([], [], []), {}
    for j, i in enumerate(watched):
        how = ZERO if at.zero[j] else _how(found, 1 << i)
        if how in (_SMOOTH, _DOUBTFUL):
            tests.smooth.append(j)
        if how == _DOUBTFUL:
            tests.doubtful.append(j)
        elif how == _JUMPING:
            tests.jumping.append(j)
        elif how != _SMOOTH:
            reasons[j] = how
    return tests, reasons


def _how(found: Structure, leaf: int) -> str:
    walk, together = found.walk, found.together
    if walk.on_purpose & leaf:
        return DECLARED
    how = _JUMPING if walk.jumps & leaf else _SMOOTH
    for cut in walk.cuts.values():
        if not cut.ended & leaf or cut.kind in ("stop_gradient", "zero_factor"):
            continue
        if cut.bit & together.declared:
            return DECLARED
        if cut.bit & (together.lost | together.open):
            return ENDS
        if cut.jump and not cut.noise:
            return JUMPS
        if cut.jump:
            how = _JUMPING
        elif cut.noise & together.info and how == _SMOOTH:
            how = _DOUBTFUL
    if walk.rounded & leaf:
        return ROUNDED
    return how

"""Reports on networks with random values in them: where what comes out is wrong, and why."""

from stochastic_net.diagnostics._check_moments import check_moments as check_moments
from stochastic_net.diagnostics._moment_report import LayerMoments as LayerMoments
from stochastic_net.diagnostics._moment_report import MomentReport as MomentReport

__all__ = ["LayerMoments", "MomentReport", "check_moments"]

"""Reports on networks with random values in them: where what comes out is wrong, and why."""

from stochastic_net.diagnostics._check_gradients import (
    assert_gradients_flow as assert_gradients_flow,
)
from stochastic_net.diagnostics._check_gradients import check_gradients as check_gradients
from stochastic_net.diagnostics._check_moments import check_moments as check_moments
from stochastic_net.diagnostics._report.gradient_report import GradientReport as GradientReport
from stochastic_net.diagnostics._report.gradients import ArgumentGradient as ArgumentGradient
from stochastic_net.diagnostics._report.gradients import DrawGradient as DrawGradient
from stochastic_net.diagnostics._report.moment_report import LayerMoments as LayerMoments
from stochastic_net.diagnostics._report.moment_report import MomentReport as MomentReport
from stochastic_net.diagnostics._static.finding import BrokenGradient as BrokenGradient
from stochastic_net.diagnostics._static.finding import Finding as Finding

__all__ = [
    "ArgumentGradient",
    "BrokenGradient",
    "DrawGradient",
    "Finding",
    "GradientReport",
    "LayerMoments",
    "MomentReport",
    "assert_gradients_flow",
    "check_gradients",
    "check_moments",
]

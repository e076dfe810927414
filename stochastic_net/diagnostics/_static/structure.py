"""A walked program: what its outputs depend on, and how."""

from typing import NamedTuple

from stochastic_net.diagnostics._program.flow import Danger, Draw, Flow
from stochastic_net.diagnostics._program.trace import Program
from stochastic_net.diagnostics._program.walk import Walk
from stochastic_net.diagnostics._static.finding import Finding


class Structure(NamedTuple):
    """The walked program: its draws, cuts and dangers, and the flow of its outputs."""

    walk: Walk
    chosen: list[int]  # the outputs that count: metrics beside a loss do not
    together: Flow
    findings: list[Finding]

    @property
    def draws(self) -> list[Draw]:
        """The draws that the output depends on, one a call of a sampler."""
        return list({d.group: d for d in reversed(self.takers)}.values())[::-1]

    @property
    def takers(self) -> list[Draw]:
        """All random bits that the output depends on; a sampler may take several times."""
        return [d for d in self.walk.draws.values() if d.bit & self.together.info]

    @property
    def dangers(self) -> list[Danger]:
        """The dangerous operations on a path to the output."""
        return [d for d in self.walk.dangers.values() if d.bit & self.together.risk]


def names(program: Program, bits: int) -> str:
    """The leaves in a set, the first few by name."""
    found = [leaf.name for i, leaf in enumerate(program.leaves) if bits >> i & 1]
    if len(found) <= 3:
        return ", ".join(found)
    return f"{', '.join(found[:2])} and {len(found) - 2} more"

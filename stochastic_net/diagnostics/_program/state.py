"""Where a walk through a program is, and what it has met so far."""

from typing import Any

from jax.extend import core
from jax.extend.core import JaxprEqn

from stochastic_net.diagnostics._program.flow import Cut, Danger, Draw, Place
from stochastic_net.diagnostics._program.source import Source, locate, samples


class State:
    """The draws, cuts and dangers met, and the calls and loops around."""

    def __init__(self, leaves: int, watched: int) -> None:
        self.leaves = (1 << leaves) - 1
        self.watched = watched  # the leaves whose derivative is asked for
        self.size = leaves  # how many sources there are
        self.draws: dict[Place, Draw] = {}
        self.cuts: dict[Place, Cut] = {}
        self.dangers: dict[Place, Danger] = {}
        self.shared: dict[Place, tuple[int, Source]] = {}
        self.split: dict[Place, tuple[Any, Source, Any, tuple]] = {}
        self.on_purpose = 0  # leaves that stop_gradient or a rule ends some derivative of
        self.rounded = 0  # leaves that go through floats of 16 bits
        self.jumps = 0  # leaves as which move, what a sampler returns jumps
        self.flats: dict[Place, tuple[str, Source, int]] = {}
        self.rules: dict[Place, Source] = {}  # derivative rules of the user's
        self.equations: dict[Place, tuple] = {}  # of what derivatives go through
        self.opaque: dict[Place, Source] = {}
        self.program: core.Jaxpr | None = None  # which is being walked
        self.calls: tuple[JaxprEqn, ...] = ()
        self.branches: tuple[tuple[int, int], ...] = ()
        self.around: list[int] = []  # the loops and shards around, by their bit
        self.loops: dict[Place, int] = {}
        self.own_rule = 0

    def loop(self, eqn: JaxprEqn) -> int:
        """The bit of a loop or of a map over shards."""
        place = self.place(eqn)
        return 1 << self.loops.setdefault(place, len(self.loops))

    def place(self, eqn: JaxprEqn) -> Place:
        """Which equation this is, of all in the program."""
        return (*map(id, self.calls), id(eqn))

    def sampling(self, eqn: JaxprEqn) -> bool:
        """Whether this is inside one of this library's samplers, whose derivatives are tested."""
        return any(map(samples, (*self.calls, eqn)))

    def since(self, known: int) -> int:
        """The draws that came after there were `known` sources."""
        return ((1 << self.size) - 1) & ~((1 << known) - 1)

    def where(self, eqn: JaxprEqn) -> Source:
        """The user's line that makes an equation."""
        return locate(self.calls, eqn)

    def cuts_in(self, bits: int) -> list[Cut]:
        """The cuts in a set."""
        return [cut for cut in self.cuts.values() if cut.bit & bits]

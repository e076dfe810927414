"""What the program alone says, nothing computed: it is walked, and looked at."""

from stochastic_net.diagnostics._program import calls, loops
from stochastic_net.diagnostics._program.flow import Flow, merge
from stochastic_net.diagnostics._program.trace import Program
from stochastic_net.diagnostics._program.walk import Walk
from stochastic_net.diagnostics._static.end_findings import end_findings
from stochastic_net.diagnostics._static.key_findings import key_findings
from stochastic_net.diagnostics._static.structure import Structure

_ = calls, loops  # they register how calls and loops are walked


def structure(program: Program) -> Structure:
    """Walk a program and say what is found, without computing anything."""
    count = len(program.leaves)
    walk = Walk(count + 1, program.watched)
    ins = [
        Flow(
            diff=1 << i if leaf.watched else 0,
            info=1 << i,
            key=("leaf", i) if leaf.is_key else None,
            number=("leaf", i),
        )
        for i, leaf in enumerate(program.leaves)
    ]
    if program.takes_key:
        ins.append(Flow(info=1 << count, key=("key",), number=("key",)))
    outputs = walk.run(program.closed.jaxpr, program.closed.consts, ins)
    chosen = program.differentiated([bool(f.diff & program.watched) for f in outputs])
    together = merge(*(outputs[i] for i in chosen)) if chosen else Flow()
    found = Structure(walk, chosen, together, [])
    findings = [*end_findings(found, program), *key_findings(found)]
    return found._replace(findings=findings)

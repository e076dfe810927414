"""How draws move, by quadrature in float64: what the benchmarks take for the truth too."""

import runpy
from pathlib import Path
from types import SimpleNamespace

truth = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "_truth.py"))
)

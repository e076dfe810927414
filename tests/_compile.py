"""How tests compile what is large, runs once and is held to the digits of float64."""

import jax

# Its digits are the same however well the code runs; to compile it is what is slow.
QUICKLY = {"xla_backend_optimization_level": 0}
if jax.default_backend() == "cpu" and jax.__version_info__ < (0, 12):  # later: no other way
    QUICKLY["xla_cpu_use_fusion_emitters"] = False

"""E and Var of a function of one Gaussian: arrays in, arrays out, nothing of programs."""

"""How values go together: what "adjoint" and "full" add to means and variances."""

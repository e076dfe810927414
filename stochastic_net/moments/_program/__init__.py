"""What a program is while it is run on Gaussians: its values, its tape, the registry of rules."""

"""What a program says before anything is computed, as findings."""

"""A program as JAX traces it: walked, with what is known of each value; nothing is computed."""

"""What was found, for people: tables, sentences and pictures."""

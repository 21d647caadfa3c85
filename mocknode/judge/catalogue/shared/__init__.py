"""What several checks have in common: sequences that they run, and conclusions that they share."""

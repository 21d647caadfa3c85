"""What several checks have in common: sequences that they drive and readings that they share."""

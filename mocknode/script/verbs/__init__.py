"""The steps that a schedule can have, one file each."""

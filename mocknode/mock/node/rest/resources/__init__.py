"""REST resources, one file per resource; each has a list `operations`, which `routes.py` joins."""

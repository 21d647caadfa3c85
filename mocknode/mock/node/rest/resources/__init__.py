"""REST resources, one file a resource; each offers `routes`, which `app.py` joins into one list."""

"""The checks, one file each, named after their ids; the module `registry` lists them."""

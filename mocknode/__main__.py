"""`python -m mocknode` is the `mocknode` command."""

from mocknode.cli import main

if __name__ == "__main__":
    main()

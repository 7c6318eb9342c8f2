"""`python -m taskline_client.cli` is `taskline`."""

from taskline_client.cli import main

if __name__ == "__main__":
    main()

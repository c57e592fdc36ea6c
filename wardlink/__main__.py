"""`python -m wardlink`: the command `wardlink`."""

from wardlink.cli import main

if __name__ == "__main__":
    main()

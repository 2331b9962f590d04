"""`python -m tilework` is the command `tilework`."""

from tilework.cli import main

main()

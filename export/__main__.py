"""`python -m export` is the command `lambdaserve`."""

from export.cli import main

main()

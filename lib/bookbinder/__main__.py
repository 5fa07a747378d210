"""`python -m bookbinder` is the `book` command."""

from bookbinder.cli import main

main()

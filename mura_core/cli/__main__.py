"""`python -m mura_core.cli`: the command, where its script isn't on the path."""

from mura_core.cli.entry import main

main()

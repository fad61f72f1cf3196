"""Run `mura-run` as `python -m mura_core.cli`, if the script isn't on the path."""

from mura_core.cli.entry import main

main()

"""Options that several commands have."""

from __future__ import annotations

import click

charge_option = click.option("--charge", type=click.IntRange(-9, 9), metavar="Q",
                             help="Total charge.  [default: as the file says]")

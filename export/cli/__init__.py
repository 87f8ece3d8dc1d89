"""The command `lambdaserve`. This package and `__main__` are the only ones that print or exit.

Results go to stdout, progress to stderr; exit 0 done, 1 refused, 2 usage, 130 stopped by Ctrl-C with a checkpoint to go
on from. torch is imported by `build` and `train` alone.
"""

import click

from export.cli.artifacts import publish, verify
from export.cli.build import build
from export.cli.profile import profile
from export.cli.removal import delete, gc
from export.cli.store import models, serve
from export.cli.train import train
from handlers import __version__

__all__ = ["cli", "main"]


def main() -> None:
    """Run the command line."""
    cli(prog_name="lambdaserve")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    r"""Turn a trained PyTorch model into a proven, quantised, versioned prediction service.

    \b
    A model's way:
      lambdaserve build my_model.py:source --out build/my-model
      lambdaserve verify build/my-model
      lambdaserve publish build/my-model --store file://$PWD/store --alias live
      lambdaserve serve --store file://$PWD/store
    """


for _command in (train, build, verify, publish, serve, profile, models):
    cli.add_command(_command)
for _command in (delete, gc):
    models.add_command(_command)

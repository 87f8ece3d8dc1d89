"""`lambdaserve models`: the group of all that is done with the versions and aliases in a store. No torch."""

import click

__all__ = ["models"]


@click.group()
def models() -> None:
    """See what is in a store, and decide which version is served.

    \b
    A model's way (each command takes --store):
      lambdaserve publish build/my-model --alias live     the first version
      lambdaserve publish build/my-model                  a better one, not served yet
      lambdaserve models diff my-model live 2             what it would change
      lambdaserve models canary my-model 2 --weight 10    a tenth of the requests go to it
      (watch: metrics, log lines and answers name the version)
      lambdaserve models promote my-model 2               all of them
      lambdaserve models rollback my-model                back to what was served before
    """  # noqa: D301 - a backspace, which keeps click from wrapping what follows

"""``yagpt-batch completion``: what makes a shell complete commands, options and their values."""

import click

_EXAMPLES = """Print what makes a shell complete commands, options, their values and files.

\b
  bash   echo 'eval "$(yagpt-batch completion bash)"' >> ~/.bashrc
  zsh    echo 'eval "$(yagpt-batch completion zsh)"' >> ~/.zshrc
  fish   yagpt-batch completion fish > ~/.config/fish/completions/yagpt-batch.fish

bash must be 4.4 or newer; in zsh the line stands after compinit. Then open a new shell.
"""


@click.command(help=_EXAMPLES)
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, /, shell: str) -> None:
    from click.shell_completion import ShellComplete, get_completion_class  # noqa: PLC0415

    from pipeline.cli.answer import answer  # noqa: PLC0415

    root = context.find_root()
    name = root.info_name or ""
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - all of them are click's own
    variable = f"_{name.upper().replace('-', '_')}_COMPLETE"
    # Not its own `source`, which starts bash to look at its version.
    answer([ShellComplete.source(kind(root.command, {}, name, variable))])

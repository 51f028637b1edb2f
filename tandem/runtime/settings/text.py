"""Settings as text for people: `--help`, and the table of docs/configuration.md."""

import textwrap

from tandem.runtime.settings.fields import Setting, settings_of
from tandem.runtime.settings.load import CONFIG_ENV, CONFIG_FLAG

_WIDTH = 100


def help_text(declared: type, program: str, about: str) -> str:
    """What `program --help` prints."""
    lines = [f"usage: {program} [{CONFIG_FLAG} FILE] [--setting VALUE ...]", "", about, ""]
    lines += _entry(f"{CONFIG_FLAG} FILE", f"TOML file [{CONFIG_ENV}]")
    for setting in settings_of(declared):
        default = f"; default {shown}" if (shown := setting.shown_default()) else ""
        lines += _entry(
            f"{setting.flag} {setting.kind.metavar}", f"{setting.help} [{setting.env}{default}]"
        )
    lines += ["", "Flags win over the environment, the environment over the file."]
    return "\n".join(lines) + "\n"


def _entry(name: str, text: str) -> list[str]:
    return [f"  {name}", *textwrap.wrap(text, _WIDTH, initial_indent=" " * 8,
                                        subsequent_indent=" " * 8)]  # fmt: skip


def docs_table(declared: type, program: str) -> str:
    """A Markdown table with one row per setting."""
    rows = [
        "| Setting | Flag | Environment | File | Default | Form | Reload |",
        "|---|---|---|---|---|---|---|",
    ]
    rows += [_row(setting, program) for setting in settings_of(declared)]
    return "\n".join(rows) + "\n"


def _row(setting: Setting, program: str) -> str:
    place = setting.key if setting.shared else f"[{program}] {setting.key}"
    default = f"`{shown}`" if (shown := setting.shown_default()) else ""
    cells = (setting.help, f"`{setting.flag}`", f"`{setting.env}`", f"`{place}`",
             default, setting.expected, "yes" if setting.reload else "restart")  # fmt: skip
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

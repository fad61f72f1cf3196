"""Generate docs/settings.md from the settings that `RunConfig` declares.

`python -m mura_core.cli.settings_page > docs/settings.md` writes the page.
"""

from __future__ import annotations

from mura_core.cli.options import SETTINGS
from mura_core.settings import Group, Setting

_INTRODUCTION = """\
# Settings

Every setting is an option of `mura-run` and a key of `config.yaml`: `--batch-size 16` and
`batch_size: 16` mean the same. A setting that is true or false is an option without a value:
`--strict`, or `--no-restart` where the default is true. An option that sets a list is repeated:
`--augment flip --augment rotate=15` is `augment: [flip, rotate=15]`.

Options given explicitly override `--recipe` and `--config`; of these two, the last one given
overrides the other. A name, type or value that isn't allowed is refused in one line.

The options `--recipe`, `--config`, `--resume`, `--out` and `--gpu-memory` are not settings.
`mura-run run --help` explains them.
"""


def settings_page() -> str:
    """Return the page, in Markdown, with a table for each group of settings."""
    sections = [_INTRODUCTION]
    for group in Group:
        rows = [_row(setting) for setting in SETTINGS.values() if setting.group is group]
        if rows:
            header = "| setting | values | default | meaning |\n|---|---|---|---|\n"
            sections.append(f"## {group}\n\n{header}{''.join(rows)}")
    return "\n".join(sections)


def _row(setting: Setting) -> str:
    cells = (f"`{setting.name}`", _values(setting), _default(setting), setting.help)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _values(setting: Setting) -> str:
    if setting.choices:
        return ", ".join(f"`{choice}`" for choice in setting.choices)
    if setting.kind is str:
        return f"`{setting.metavar}`"
    if setting.kind is tuple:
        return f"list of `{setting.metavar}`"
    return setting.allowed


def _default(setting: Setting) -> str:
    if setting.shown_default:
        return setting.shown_default
    if setting.kind is tuple:
        return "empty"
    return f"`{str(setting.default).lower()}`"


if __name__ == "__main__":
    print(settings_page(), end="")

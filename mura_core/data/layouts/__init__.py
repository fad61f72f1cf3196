"""The layouts of data sets: a module for each, found as a plugin's are.

Each module has `recognise(data)` and `read(data, options)`. The order of the records is that in
which they are asked; the last one takes any folder.
"""

from mura_plugins import Layout, hookimpl

_SUMMARIES = {
    "bone_age": ("bone-age", "A table like RSNA's `id, boneage, male`, with a column of labels."),
    "csv_file": ("csv", "A CSV file, a folder with a manifest.csv, or with a CSV next to it."),
    "mura": ("mura", "MURA 1.1 and 1.0, with their CSV files."),
    "fracatlas": ("fracatlas", "FracAtlas as published."),
    "grazpedwri": ("grazpedwri-dx", "GRAZPEDWRI-DX as published."),
    "class_folders": ("class-folders", "[<split>/][<body part>/]<class>/[<patient>/[<study>/]]"),
    "folders": ("folders", "[<split>/]<body part>/<patient>/<study>_positive|_negative/"),
}


@hookimpl
def mura_layouts() -> list[Layout]:
    """Return the built-in layouts."""
    return [
        Layout(name, f"{__name__}.{module}:recognise", f"{__name__}.{module}:read", summary)
        for module, (name, summary) in _SUMMARIES.items()
    ]

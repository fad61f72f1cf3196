"""The layouts of data sets: a module for each, found as a plugin's are.

Each module has `recognise(data)` and `read(data, options)`. The order of the records is that in
which they are asked; the last one takes any folder.
"""

from mura_plugins import Layout, hookimpl

_RECORDS = [
    ("bone-age", "bone_age", "", "A table like RSNA's `id, boneage, male`, with labels."),
    ("csv", "csv_file", "", "A CSV file, or a folder with a manifest.csv."),
    ("mura", "mura", "", "MURA 1.1 and 1.0, with their CSV files."),
    ("fracatlas", "fracatlas", "", "FracAtlas as published."),
    ("grazpedwri-dx", "grazpedwri", "", "GRAZPEDWRI-DX as published."),
    ("csv-folder", "csv_file", "_folder", "A folder with CSV files in it or next to it."),
    (
        "class-folders",
        "class_folders",
        "",
        "[<split>/][<body part>/]<class>/[<patient>/[<study>/]]",
    ),
    ("folders", "folders", "", "[<split>/]<body part>/<patient>/<study>_positive|_negative/"),
]


@hookimpl
def mura_layouts() -> list[Layout]:
    """Return the built-in layouts."""
    return [
        Layout(
            name,
            f"{__name__}.{module}:recognise{suffix}",
            f"{__name__}.{module}:read",
            summary,
        )
        for name, module, suffix, summary in _RECORDS
    ]

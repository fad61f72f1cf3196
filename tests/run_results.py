"""What a run says, read as a user's script would."""

import json
from pathlib import Path

import pandas as pd
from command_line import mura_run


def predicted(*arguments: object) -> pd.DataFrame:
    result = mura_run("predict", *arguments)
    assert result.exit_code == 0, result.output
    lines = [line.split(",") for line in result.stdout.splitlines()]
    table = pd.DataFrame(lines[1:], columns=lines[0])
    numbers = [name for name in table if name.endswith(("logit", "probability"))]
    return table.astype(dict.fromkeys(numbers, float))


def thresholds(run: Path, level: str) -> list[float]:
    points = json.loads((run / "metrics.json").read_text())["operating_points"]
    return [row["threshold"] for row in points if row["level"] == level]

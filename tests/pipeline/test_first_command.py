"""The README's first command, as it stands."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest


@pytest.mark.slow
def test_conv4_learns_the_phantoms_and_says_that_they_are_phantoms(tmp_path: Path):
    command = [Path(sys.executable).with_name("mura-run"), "--model", "conv4"]
    done = subprocess.run(
        [*command, "--explain", "gradcam"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Nothing but progress: no noise of TensorFlow's, no warning.
    assert all(re.search(r": \d+ of \d+ ", line) for line in done.stderr.splitlines()), done.stderr
    assert "Data: phantoms, drawn by the program" in done.stdout
    assert "Validation of phantoms, by study" in done.stdout
    (run,) = (tmp_path / "runs").iterdir()
    figures = json.loads((run / "metrics.json").read_text())["figures"]
    (studies,) = [row for row in figures if (row["level"], row["body_part"]) == ("study", "ALL")]
    assert studies["auroc"] >= 0.95
    assert "These are phantoms" in (run / "report.html").read_text()
    heatmaps = pd.read_csv(run / "heatmaps" / "heatmaps.csv")
    assert len(heatmaps) == 24
    # The sample is of every part, and of both labels.
    assert len(heatmaps["path"].str.split("/").str[1].unique()) == 5
    assert set(heatmaps["label"]) == {0, 1}

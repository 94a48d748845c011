# SPDX-License-Identifier: MIT
"""The guard against slower requests: t/bench/instructions.py."""
import json
import shutil
import subprocess
import sys

import harness
import pytest

pytestmark = [
    pytest.mark.skipif(not shutil.which("valgrind"),
                       reason="valgrind is not installed"),
    pytest.mark.skipif(bool(harness.SANITIZERS),
                       reason="valgrind does not run what has sanitizers"),
]


def compare(baseline, *args):
    return subprocess.run(
        [sys.executable, harness.SOURCE / "t/bench/instructions.py",
         "--few", "160", "--many", "960", "--baseline", baseline, *args,
         "native"],
        env=harness.environment({"BICORN": harness.BICORN}),
        capture_output=True, text=True, timeout=120)


def test_a_rise_is_reported(tmp_path):
    path = tmp_path / "baseline.json"
    done = compare(path, "--record")
    assert done.returncode == 0, done.stdout + done.stderr
    recorded = json.loads(path.read_text())
    assert 500 < recorded["rows"]["native"]["server"] < 100000
    assert recorded["compiler"] and recorded["machine"]

    # As if they had been a fifth fewer.
    recorded["rows"]["native"]["server"] *= 0.8
    path.write_text(json.dumps(recorded))
    done = compare(path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "native: server and host rose by 2" in done.stdout

    # A baseline of another compiler says nothing.
    recorded["major"] = "gcc 1"
    path.write_text(json.dumps(recorded))
    done = compare(path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing is judged: major is" in done.stdout

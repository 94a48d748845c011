# SPDX-License-Identifier: MIT
"""The gate itself, .ci/run, with a bootstrap, a configure and a make that
only say what the real ones would."""
import os
import re
import shutil
import subprocess

import pytest

import harness
from harness import SOURCE

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")]

UNIT_TESTS = """\
PASS: t/unit/http_head 1 - a_request
============================================================================
Testsuite summary for bicorn 1.0
============================================================================
# TOTAL: 12
# PASS:  10
# SKIP:  1
# XFAIL: 0
# FAIL:  %d
# XPASS: 0
# ERROR: 0
============================================================================
"""

MAKE = r"""#!/bin/sh
case "$*" in
*distcheck*) cat unit; echo 'noise of distcheck'
	echo '7 passed, 3000 deselected in 1.20s' ;;
*build-ci-asan*check-TESTS*) cat unit ;;
*build-ci-asan*check-local*) cat suite
	[ ! -e fails ] || exit 2 ;;
*build-ci-tsan*check-TESTS*) ;;
*build-ci-tsan*check-local*)
	echo '========= 5 passed, 2 warnings, 1 rerun in 3.00s =========' ;;
*check-local*) echo '4 passed, 1 skipped in 61.20s (0:01:01)' ;;
*fuzz*) mkdir -p build-ci-fuzz/t/fuzz
	printf '#!/bin/sh\necho stat::number_of_executed_units: 99\n' \
	    >build-ci-fuzz/t/fuzz/parser
	chmod +x build-ci-fuzz/t/fuzz/parser ;;
*build-ci-clang*tests*) echo 'noise of clang'
	[ ! -e broken ] || exit 2 ;;
*) echo 'noise of make' ;;
esac
"""

GOOD = "RERUN t/test_x.py::test_late\n100 passed, 20 skipped in 3.00s\n"
BAD = ("FAILED t/test_x.py::test_it - assert 0\n"
       "2 failed, 98 passed, 20 skipped, 1 error in 3.00s\n")


@pytest.fixture
def gate(tmp_path):
    """Runs it, as a CI does: without a terminal or anything to read."""
    def script(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    script(".ci/run", (SOURCE / ".ci/run").read_text())
    script("configure", "#!/bin/sh\n")
    script("bootstrap", "#!/bin/sh\n[ ! -t 0 ] && cat unit suite\n")
    script("bin/make", MAKE)
    script("bin/dpkg-query", "#!/bin/sh\necho install ok installed\n")
    script("t/fuzz/parser.c", "")
    script("unit", UNIT_TESTS % 0)
    script("suite", GOOD)

    def run():
        env = harness.environment({
            "CI": "true", "PATH": "%s:%s" % (tmp_path / "bin",
                                             os.environ["PATH"])})
        return subprocess.run(
            ["bash", ".ci/run"], cwd=tmp_path, env=env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=harness.DEADLINE)

    run.folder = tmp_path
    run.script = script
    return run


def test_everything_passes(gate):
    done = gate()
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    # Three times the unit tests, twice the suite, and what is on its own.
    assert lines[-1] == "246 passed, 0 failed, 44 skipped"
    assert "noise" not in done.stdout
    assert lines.count("unit tests: 10 passed, 0 failed, 1 skipped") == 3
    assert lines.count("RERUN t/test_x.py::test_late") == 2
    assert "-- parser: 99 inputs" in lines
    assert len(re.findall(r"^passed +\d+ s  ", done.stdout, re.M)) == 9
    assert re.search(r"^passed +\d+ s  make distcheck: 17 passed, 0 failed, "
                     "1 skipped$", done.stdout, re.M)
    assert not list(gate.folder.glob("build-ci-*"))


def test_a_test_fails(gate):
    gate.script("fails", "")
    gate.script("suite", BAD)
    gate.script("unit", UNIT_TESTS % 1)
    done = gate()
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert lines[-1] == "242 passed, 9 failed, 44 skipped"
    assert "FAILED t/test_x.py::test_it - assert 0" in lines
    assert "== failed: the suite under AddressSanitizer and " \
        "UndefinedBehaviorSanitizer" in lines
    assert "PASS: t/unit/http_head 1 - a_request" in lines
    assert [p.name for p in gate.folder.glob("build-ci-*")] == \
        ["build-ci-logs"]


def test_a_build_fails(gate):
    """No test failed: the section counts as one."""
    gate.script("broken", "")
    done = gate()
    assert done.returncode == 1
    assert "noise of clang" in done.stdout
    assert "noise of make" not in done.stdout
    assert re.search(r"^FAILED +\d+ s  clang, ", done.stdout, re.M)
    assert done.stdout.endswith("\n246 passed, 1 failed, 44 skipped\n")


def test_a_unit_test_fails(gate):
    """The suite runs nevertheless."""
    gate.script("bin/make", MAKE.replace(
        "*build-ci-asan*check-TESTS*) cat unit ;;",
        "*build-ci-asan*check-TESTS*) echo '# ERROR: 1'; exit 2 ;;"))
    done = gate()
    assert done.returncode == 1
    assert done.stdout.endswith("\n236 passed, 1 failed, 43 skipped\n")


def test_fuzzing_finds_something(gate):
    gate.script("t/fuzz/another.c", "")
    gate.script("bin/make", MAKE.replace(
        "chmod +x build", "printf '#!/bin/sh\necho a crash; exit 77\n' "
        ">build-ci-fuzz/t/fuzz/another; chmod +x build-ci-fuzz/t/fuzz/a*\n"
        "\tchmod +x build"))
    done = gate()
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert "-- another: FAILED" in lines and "a crash" in lines
    assert "-- parser: 99 inputs" in lines
    assert lines[-1] == "246 passed, 1 failed, 44 skipped"


def test_no_test_runs(gate):
    gate.script("bootstrap", "#!/bin/sh\n")
    gate.script("bin/make", "#!/bin/sh\nmkdir -p build-ci-fuzz/t/fuzz\n"
                "ln -sf /bin/true build-ci-fuzz/t/fuzz/parser\n")
    done = gate()
    assert done.returncode == 1
    assert "== failed: no test was run\n" in done.stdout
    assert done.stdout.endswith("\n0 passed, 0 failed, 0 skipped\n")


def test_a_failure_that_make_swallows(gate):
    gate.script("suite", BAD)
    done = gate()
    assert done.returncode == 1
    assert done.stdout.endswith("\n242 passed, 6 failed, 44 skipped\n")

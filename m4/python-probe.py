# SPDX-License-Identifier: MIT
"""Tells configure what the Python that runs this offers for embedding.

Prints shell assignments.  With what is missing, it ends with status 1 and one
line that says so.  Everything comes from this interpreter's own sysconfig: a
python3-config found in PATH may belong to another one.
"""
import os
import shlex
import sys
import sysconfig

OLDEST = (3, 9)
NEWEST = (3, 13)


def missing(text, package=None):
    distribution = sys.base_prefix == "/usr" and os.path.exists("/usr/bin/apt")
    if package and distribution:
        text += " (apt install %s)" % package
    print("%s: %s" % (sys.version.split()[0], text))
    sys.exit(1)


def first_existing(paths):
    return next((p for p in paths if p and os.path.exists(p)), None)


var = sysconfig.get_config_var
minor = "%d.%d" % sys.version_info[:2]
if sys.implementation.name != "cpython":
    missing("this is %s, not CPython" % sys.implementation.name)
if not OLDEST <= sys.version_info[:2] <= NEWEST:
    missing("not of %d.%d to %d.%d" % (OLDEST + NEWEST))
# "t" for a build that may run without its lock, which is another ABI.
abi = "t" if var("Py_GIL_DISABLED") else ""

dev = "python3-dev" if sys.executable == "/usr/bin/python3" \
    else "python%s%s-dev" % (minor, abi)
header = first_existing(
    d and os.path.join(d, "Python.h")
    for d in (var("INCLUDEPY"), sysconfig.get_path("include")))
if not header:
    missing("its header Python.h is missing", dev)

library = None
for name in (var("LDLIBRARY"), var("INSTSONAME")):
    if name and ".so" in name and not library:
        library = first_existing(
            d and os.path.join(d, name)
            for d in (var("LIBDIR"), os.path.join(sys.base_prefix, "lib")))
if not library and not var("Py_ENABLE_SHARED"):
    missing("built without a shared library (./configure --enable-shared)")
if not library:
    missing("its library %s is missing" % var("LDLIBRARY"), dev)

for name, value in (
        ("executable", sys.executable),
        ("version", sys.version.split()[0]),
        ("minor", minor + abi),
        ("tag", "cpython-%d%d" % sys.version_info[:2] + abi),
        ("include", os.path.dirname(header)),
        ("library", library),
        # What an embedded interpreter has to say of itself.
        ("identity", "%s|%s|%s" % (os.path.realpath(library),
                                   " ".join(sys.version.split()),
                                   sys.base_prefix))):
    print("bicorn_py_%s=%s" % (name, shlex.quote(value)))

# SPDX-License-Identifier: MIT
"""Certificates for tests."""
import subprocess

EC = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA = ("rsa:2048",)


def openssl(*args, **kw):
    return subprocess.run(["openssl", *map(str, args)], check=True,
                          capture_output=True, **kw)


def make_pair(folder, name, algorithm=EC, common=None):
    """NAME.pem and NAME.key, for localhost; the common name is NAME."""
    cert, key = folder / (name + ".pem"), folder / (name + ".key")
    openssl("req", "-x509", "-newkey", *algorithm, "-nodes", "-days", "30",
            "-subj", "/CN=" + (common or name), "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", key, "-out", cert)
    return cert, key

# SPDX-License-Identifier: MIT
"""Certificates for tests, made by openssl: an authority and what it signs."""
import datetime
import re
import shutil
import ssl
import subprocess

import pytest

import harness

V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
HAS_1_3 = re.search(r"Mbed TLS ([3-9])", subprocess.run(
    [str(harness.BICORN), "--version"], capture_output=True,
    text=True).stdout) is not None
VERSIONS = [V1_2] + ([V1_3] if HAS_1_3 else [])
EC = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA = ("rsa:2048",)


def require():
    """Skips the module that calls it where there is no TLS to be tested."""
    if "HAVE_TLS 1" not in (harness.BUILD / "config.h").read_text():
        pytest.skip("built without TLS", allow_module_level=True)
    if not shutil.which("openssl"):
        pytest.skip("needs openssl", allow_module_level=True)


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def openssl(*args, **kw):
    p = subprocess.run(["openssl", *map(str, args)], capture_output=True, **kw)
    assert p.returncode == 0, p.stderr
    return p.stdout


def self_signed(folder, name, *sans, kind=EC, cn=None):
    """(certificate, key) for these names."""
    cert, key = folder / (name + ".pem"), folder / (name + ".key")
    openssl("req", "-x509", "-newkey", *kind, "-nodes", "-days", "30",
            "-subj", "/CN=%s" % (cn or (sans[0] if sans else "localhost")),
            *(["-addext", "subjectAltName=" + ",".join(
                s if ":" in s else "DNS:" + s for s in sans)] if sans else []),
            "-keyout", key, "-out", cert)
    return cert, key


def authority(folder, name="ca", subject=None):
    """(certificate, key)"""
    cert, key = folder / (name + ".pem"), folder / (name + ".key")
    openssl("req", "-x509", "-newkey", *EC, "-nodes", "-days", "30", "-subj",
            subject or "/O=Example/CN=%s" % name, "-addext",
            "keyUsage=critical,keyCertSign,cRLSign", "-keyout", key, "-out",
            cert)
    return cert, key


def issue(folder, ca, name, subject=None, serial=None, ext=(), kind=EC,
          start=None, end=None, utf8=False):
    """A certificate that ca signed: (certificate, key)."""
    cert, key = folder / (name + ".pem"), folder / (name + ".key")
    csr, conf = folder / (name + ".csr"), folder / (name + ".cnf")
    openssl("req", "-new", "-newkey", *kind, "-nodes", "-keyout", key, "-out",
            csr, "-subj", subject or "/O=Example/CN=" + name, "-utf8",
            *(["-multivalue-rdn"] if "+" in (subject or "") else []))
    work = folder / (name + ".d")
    work.mkdir(exist_ok=True)
    (work / "index.txt").write_text("")
    (work / "serial").write_text(serial or "1001")
    conf.write_text("\n".join((
        "[ca]", "default_ca=d", "[d]", "database=%s/index.txt" % work,
        "serial=%s/serial" % work, "new_certs_dir=%s" % work,
        "default_md=sha256", "policy=p", "string_mask=utf8only", "[p]",
        "commonName=optional", "organizationName=optional",
        "organizationalUnitName=optional", "countryName=optional",
        "emailAddress=optional", "[x]",
        "subjectKeyIdentifier=hash", *ext, "")))
    def when(t):
        return t.strftime("%Y%m%d%H%M%SZ")
    today = now()
    day = datetime.timedelta(days=1)
    openssl("ca", "-batch", "-notext", "-utf8", "-preserveDN", "-config", conf,
            "-extensions", "x", "-in", csr, "-out", cert, "-cert", ca[0],
            "-keyfile", ca[1], "-startdate", when(start or today - day),
            "-enddate", when(end or today + 30 * day))
    return cert, key


def revocations(folder, ca, *certs, name="crl", days=30):
    """A list in which ca takes these certificates back."""
    work, conf = folder / (name + ".d"), folder / (name + ".cnf")
    work.mkdir()
    (work / "index.txt").write_text("")
    (work / "crlnumber").write_text("01")
    conf.write_text("\n".join((
        "[ca]", "default_ca=d", "[d]", "database=%s/index.txt" % work,
        "crlnumber=%s/crlnumber" % work, "default_md=sha256", "")))
    for cert in certs:
        openssl("ca", "-config", conf, "-revoke", cert, "-cert", ca[0],
                "-keyfile", ca[1])
    out = folder / (name + ".pem")
    when = ["-crldays", days] if days > 0 else [
        "-crl_lastupdate", "20200101000000Z",
        "-crl_nextupdate", "20200102000000Z"]
    openssl("ca", "-config", conf, "-gencrl", "-cert", ca[0], "-keyfile",
            ca[1], "-out", out, *when)
    return out


def s_client(address, *args, text=b"", timeout=20):
    """openssl s_client, to its end: (exit code, all that it said)."""
    p = subprocess.run(
        ["openssl", "s_client", "-connect", "%s:%d" % address, "-ign_eof",
         *map(str, args)], input=text, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=timeout)
    return p.returncode, p.stdout.decode("latin-1")

# SPDX-License-Identifier: MIT
"""A Django project with database, sessions, CSRF protection and admin."""
import hashlib
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

import harness

requests = pytest.importorskip("requests")

APPS = harness.SOURCE / "t" / "apps"


def has_django():
    return subprocess.run([harness.PYTHON, "-c", "import django"],
                          env=harness.environment(),
                          capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.python,
    pytest.mark.skipif(harness.HAS_PYTHON and not has_django(),
                       reason="no Django for this Python"),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A project directory with the tables made and an administrator."""
    where = tmp_path_factory.mktemp("site")
    env = harness.environment({
        "SITE_DIR": where, "PYTHONPATH": APPS,
        "DJANGO_SETTINGS_MODULE": "site_project.settings",
        "DJANGO_SUPERUSER_PASSWORD": "secret"})
    for command in (["migrate", "-v0"],
                    ["createsuperuser", "--noinput", "--username", "root",
                     "--email", "root@example.org"]):
        subprocess.run([harness.PYTHON, "-m", "django", *command], check=True,
                       env=env, stdout=subprocess.DEVNULL)
    (where / "file").write_bytes(os.urandom(700_000))
    return where


@pytest.fixture
def site(bicorn, database):
    def start(*args, target="site_project.wsgi", env=(), **kw):
        return bicorn("--chdir", APPS, *args, target,
                      env={"SITE_DIR": database,
                           "TEST_FILE": database / "file", **dict(env)}, **kw)

    return start


@pytest.fixture
def client():
    with requests.Session() as session:
        yield session


def sha(data):
    return hashlib.sha256(data).hexdigest()


def test_hello(site, client):
    server = site()
    for _ in range(3):
        r = client.get(server.url + "/")
        assert (r.status_code, r.text) == (200, "Hello from Django\n")
        assert r.headers["Content-Length"] == "18"
    assert client.head(server.url + "/").headers["Content-Length"] == "18"
    assert client.get(server.url + "/none").status_code == 404


def test_text_in_urls(site, client):
    server = site()
    for name in "caf\xe9", "\u20ac uro", "a+b", "%41":
        r = client.get(server.url + "/text/" +
                       requests.utils.quote(name, safe=""))
        assert r.text == name


def test_sessions(site, client):
    server = site("--workers", "2")
    for n in range(1, 6):
        assert client.get(server.url + "/visits").json() == {"visits": n}
    assert requests.get(server.url + "/visits").json() == {"visits": 1}


def test_forms_and_csrf(site, client):
    server = site()
    data = {"a": "x y", "b": ["1", "2"], "u": "\u20ac"}
    assert client.post(server.url + "/form", data=data).status_code == 403
    token = client.get(server.url + "/form").text
    r = client.post(server.url + "/form?q=%C3%A9", data=data,
                    headers={"X-CSRFToken": token})
    assert r.json() == {"post": {"a": ["x y"], "b": ["1", "2"],
                                 "u": ["\u20ac"]}, "get": {"q": ["\xe9"]}}


@pytest.mark.parametrize("size", [0, 1, 70_000, 2_000_000])
def test_bodies(site, client, size):
    """Chunked ones too, which Django sees only with CONTENT_LENGTH."""
    server = site()
    data = os.urandom(size)

    def pieces():
        for at in range(0, size, 9000):
            yield data[at:at + 9000]

    for body in data, pieces():
        assert client.post(server.url + "/raw", data=body).json() == {
            "length": size, "sha": sha(data)}


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_uploads(site, client, size):
    server = site()
    one, two = os.urandom(size), os.urandom(size)
    r = client.post(server.url + "/upload", data={"note": "caf\xe9"}, files={
        "one": ("one.bin", one), "two": ("two \xe9", two)})
    assert r.status_code == 200, r.text
    out = r.json()
    assert out["post"] == {"note": "caf\xe9"}
    assert out["files"]["one"] == {"name": "one.bin", "size": size,
                                   "sha": sha(one)}
    assert out["files"]["two"]["sha"] == sha(two)


def test_files(site, client, database):
    server = site()
    data = (database / "file").read_bytes()
    for _ in range(2):
        r = client.get(server.url + "/file")
        assert r.content == data
        assert r.headers["Content-Length"] == str(len(data))
        assert "attachment" in r.headers["Content-Disposition"]
    r = client.head(server.url + "/file")
    assert r.headers["Content-Length"] == str(len(data))
    # With a middleware that replaces the body.
    server = site(env={"SITE_GZIP": "1"})
    assert client.get(server.url + "/file").content == data


def test_streams(site, client):
    server = site()
    r = client.get(server.url + "/stream", stream=True)
    assert r.headers["Transfer-Encoding"] == "chunked"
    assert list(r.iter_lines()) == [b"line %d" % n for n in range(5)]
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        client.get(server.url + "/stream/fails")
    server.wait_log("while streaming")


def test_errors(site, client):
    server = site()
    assert client.get(server.url + "/fails").status_code == 500
    assert client.get(server.url + "/").ok


def test_admin(site, client):
    server = site("--workers", "2")
    login = server.url + "/admin/login/?next=/admin/"
    page = client.get(login).text
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    r = client.post(login, data={"csrfmiddlewaretoken": token,
                                 "username": "root", "password": "secret"},
                    headers={"Referer": login})
    assert r.status_code == 200
    assert "Site administration" in r.text
    r = client.get(server.url + "/admin/auth/user/")
    assert "root@example.org" in r.text
    r = client.get(server.url + "/admin/auth/user/1/change/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', r.text)[1]
    r = client.post(server.url + "/admin/logout/",
                    data={"csrfmiddlewaretoken": token})
    assert r.status_code == 200
    r = client.get(server.url + "/admin/auth/user/")
    assert "root@example.org" not in r.text


def test_prefix_and_scheme(site, client):
    server = site("--env", "SCRIPT_NAME=/shop")
    r = client.get(server.url + "/shop/where",
                   headers={"X-Forwarded-Proto": "https"}).json()
    assert r["url"] == server.url.replace("http", "https") + "/shop/where"
    assert r["secure"] is True and r["prefix"] == "/shop"


def test_database_from_many_threads(site):
    server = site("--workers", "2", "--threads", "4")
    before = requests.get(server.url + "/users").json()["count"]

    def work(n):
        with requests.Session() as session:
            for i in range(3):
                r = session.post(server.url + "/users",
                                 data={"name": "user-%d-%d" % (n, i)})
                assert r.ok, r.text
        return n

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert requests.get(server.url + "/users").json()["count"] == before + 24


def test_path_of_the_file_gets_a_hint(run):
    r = run("--bind", "127.0.0.1:0", "--chdir", APPS, "site_project/wsgi.py")
    assert r.returncode == 3
    assert "did you mean site_project.wsgi:application?" in r.stderr

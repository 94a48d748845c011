# SPDX-License-Identifier: MIT
"""A Flask application as people write them; see test_flask.py."""
import hashlib
import io
import json
import os
import time

from flask import (Flask, Response, abort, flash, get_flashed_messages, g,
                   jsonify, redirect, request, send_file, session,
                   stream_with_context, url_for)
from werkzeug.middleware.proxy_fix import ProxyFix

app = Flask(__name__)
app.secret_key = "for tests"


@app.before_request
def before():
    g.started = time.monotonic()


@app.after_request
def after(response):
    response.headers["X-App"] = "flask"
    return response


@app.teardown_request
def teardown(error):
    if request.path.startswith("/stream"):
        app.logger.error("teardown of %s", request.path)


@app.route("/")
def index():
    return "Hello, World!\n"


@app.route("/user/<name>")
def user(name):
    return "user %s" % name


@app.route("/login", methods=["GET", "POST"])
def login():
    if request.method == "POST":
        session["user"] = request.form["user"]
        flash("welcome")
        return redirect(url_for("whoami"))
    return '<form method="post"><input name="user"></form>'


@app.route("/whoami")
def whoami():
    session["visits"] = session.get("visits", 0) + 1
    return jsonify(user=session.get("user"), visits=session["visits"],
                   flashes=get_flashed_messages())


@app.route("/logout", methods=["POST"])
def logout():
    session.clear()
    return "", 204


@app.route("/form", methods=["POST"])
def form():
    return jsonify(form=request.form.to_dict(flat=False),
                   args=request.args.to_dict(flat=False))


@app.route("/json", methods=["POST", "PUT", "PATCH", "DELETE"])
def echo_json():
    return jsonify(method=request.method, got=request.get_json())


@app.route("/raw", methods=["POST", "PUT"])
def raw():
    data = request.get_data()
    return jsonify(length=len(data), header=request.content_length,
                   sha=hashlib.sha256(data).hexdigest())


@app.route("/read", methods=["POST"])
def read():
    """Reads the stream itself, in pieces."""
    sha, total = hashlib.sha256(), 0
    while True:
        data = request.stream.read(10000)
        if not data:
            break
        sha.update(data)
        total += len(data)
    return jsonify(length=total, sha=sha.hexdigest())


@app.route("/upload", methods=["POST"])
def upload():
    out = {}
    for field, files in request.files.lists():
        out[field] = [{"name": f.filename, "type": f.mimetype,
                       "sha": hashlib.sha256(f.read()).hexdigest()}
                      for f in files]
    return jsonify(files=out, form=request.form.to_dict())


@app.route("/file")
def file():
    return send_file(os.environ["TEST_FILE"], as_attachment=True,
                     download_name="a name.bin", conditional=True)


@app.route("/memory")
def memory():
    return send_file(io.BytesIO(b"from memory"), mimetype="text/plain")


@app.route("/stream")
def stream():
    @stream_with_context
    def lines():
        for n in range(5):
            yield "%s %d\n" % (request.args["x"], n)
    return Response(lines(), mimetype="text/plain")


@app.route("/stream/events")
def events():
    def generate():
        n = 0
        while True:
            yield "data: %d\n\n" % n
            n += 1
            time.sleep(0.001)
    return Response(generate(), mimetype="text/event-stream")


@app.route("/stream/fails")
def stream_fails():
    def generate():
        yield "begun"
        raise RuntimeError("while streaming")
    return Response(generate())


@app.route("/fails")
def fails():
    raise RuntimeError("in the view")


@app.route("/abort/<int:code>")
def aborts(code):
    abort(code)


@app.route("/cookies")
def cookies():
    response = jsonify(request.cookies)
    response.set_cookie("one", "1")
    response.set_cookie("two", "2", httponly=True, samesite="Lax")
    return response


@app.route("/where")
def where():
    return jsonify(url=request.url, root=request.root_path,
                   remote=request.remote_addr, secure=request.is_secure,
                   external=url_for("index", _external=True))


@app.route("/environ")
def environ():
    return json.dumps({k: v for k, v in request.environ.items()
                       if isinstance(v, str)})


@app.errorhandler(404)
def missing(error):
    return "nothing at %s" % request.path, 404


proxied = ProxyFix(app, x_for=1, x_proto=1, x_host=1, x_prefix=1)


def create_app(greeting, loud=False):
    made = Flask("made")

    @made.route("/")
    def hello():
        return greeting.upper() if loud else greeting

    return made

/* SPDX-License-Identifier: MIT */

/*
 * environ.  Each pool thread keeps a dict with every key that all requests
 * have, holding the values of its last request.  A new request changes the
 * values that differ, copies the dict, which is a few memcpy() for Python,
 * and adds the header fields to the copy.
 */

#include "environ.h"

#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "socket.h"

/* Texts longer than this are dropped after the request. */
#define TEXT_KEEP 1024

/* What only some proxies say: bicorn_variables(). */
struct variables {
	const struct bicorn_header *items;
	size_t count;
};

static const char *const key_texts[] = {
#define KEY(name, text) text,
	WSGI_KEYS(KEY)
#undef KEY
};

static int
set_steal(PyObject *dict, PyObject *key, PyObject *value)
{
	int rc;

	if (value == NULL)
		return -1;
	rc = PyDict_SetItem(dict, key, value);
	Py_DECREF(value);
	return rc;
}

static bool
setting_above_one(const struct bicorn_server *server, const char *name)
{
	const char *text = bicorn_setting(server, name);

	/* "auto" may be one, but several is the safe answer. */
	return text != NULL && (text[0] < '0' || text[0] > '9' ||
	    strtol(text, NULL, 10) > 1);
}

int
environ_init(struct wsgi *w)
{
	PyObject *env = PyDict_New(), **k = w->keys;
	size_t i;

	w->environ = env;
	if (env == NULL)
		return -1;
	for (i = 0; i < KEY_COUNT; i++) {
		k[i] = PyUnicode_InternFromString(key_texts[i]);
		if (k[i] == NULL)
			return -1;
	}
	/* With one thread it is what gunicorn's sync worker is. */
	if (set_steal(env, k[KEY_MULTITHREAD], PyBool_FromLong(
	    setting_above_one(w->server, "threads"))) < 0 ||
	    set_steal(env, k[KEY_MULTIPROCESS], PyBool_FromLong(
	    setting_above_one(w->server, "workers"))) < 0 ||
	    set_steal(env, k[KEY_RUN_ONCE], PyBool_FromLong(0)) < 0 ||
	    set_steal(env, k[KEY_INPUT_TERMINATED], PyBool_FromLong(1)) < 0)
		return -1;
	return PyDict_SetItem(env, k[KEY_FILE_WRAPPER],
	    (PyObject *)w->file_wrapper_type);
}

int
environ_set(struct wsgi_thread *t, enum wsgi_key key, PyObject *value)
{
	return PyDict_SetItem(t->environ, t->wsgi->keys[key], value);
}

/* Puts str, of which the dict takes its own reference, where it belongs. */
static int
text_put(struct wsgi_thread *t, enum wsgi_key key, PyObject *str)
{
	if (environ_set(t, key, str) < 0)
		return -1;
	t->text[key] = str;
	if (PyUnicode_GET_LENGTH(str) > TEXT_KEEP)
		t->bulky |= 1u << key;
	return 0;
}

static int
text_set(struct wsgi_thread *t, enum wsgi_key key, struct bicorn_str s)
{
	PyObject *str;
	int rc;

	if (t->text[key] != NULL && names_same(t->text[key], s))
		return 0;
	str = PyUnicode_DecodeLatin1(s.ptr, (Py_ssize_t)s.len, NULL);
	if (str == NULL)
		return -1;
	rc = text_put(t, key, str);
	Py_DECREF(str);
	return rc;
}

int
environ_thread(struct wsgi_thread *t)
{
	int i;

	t->environ = PyDict_Copy(t->wsgi->environ);
	if (t->environ == NULL)
		return -1;
	/* Threads that count references to the same object wait in line. */
	if (set_steal(t->environ, t->wsgi->keys[KEY_VERSION],
	    Py_BuildValue("(ii)", 1, 0)) < 0 ||
	    set_steal(t->environ, t->wsgi->keys[KEY_SERVER_SOFTWARE],
	    PyUnicode_FromString(t->wsgi->server->software)) < 0)
		return -1;
	for (i = 0; i < TEXT_COUNT; i++)
		if (text_set(t, (enum wsgi_key)i, bicorn_str("")) < 0)
			return -1;
	/* No port is 0, so that the first request sets them. */
	t->server_port = t->remote_port = 0;
	return 0;
}

void
environ_trim(struct wsgi_thread *t)
{
	int i;

	for (i = 0; t->bulky != 0 && i < TEXT_COUNT; i++)
		if ((t->bulky & 1u << i) != 0 &&
		    text_set(t, (enum wsgi_key)i, bicorn_str("")) < 0)
			PyErr_Clear();
	t->bulky = 0;
}

static int
port_set(struct wsgi_thread *t, enum wsgi_key key, unsigned port,
    unsigned *last)
{
	char text[16];
	struct bicorn_str s = { text + sizeof(text), 0 };
	unsigned left = port;

	if (port == *last)
		return 0;
	do {
		text[sizeof(text) - ++s.len] = (char)('0' + left % 10);
		left /= 10;
	} while (left > 0);
	s.ptr -= s.len;
	if (text_set(t, key, s) < 0)
		return -1;
	*last = port;
	return 0;
}

/* On a unix socket the Host field is all there is to name the server. */
static int
server_from_host(struct wsgi_thread *t, const struct bicorn_request *r)
{
	struct bicorn_str name = r->host, port;
	size_t i = name.len;

	port = bicorn_str(bicorn_str_eq(r->scheme, "https") ? "443" : "80");
	while (i > 0 && name.ptr[i - 1] >= '0' && name.ptr[i - 1] <= '9')
		i--;
	if (i > 0 && name.ptr[i - 1] == ':') {
		if (i < name.len) {
			port.ptr = name.ptr + i;
			port.len = name.len - i;
		}
		name.len = i - 1;
	}
	if (name.len == 0)
		name = r->local_address;
	t->server_port = 0;
	if (text_set(t, KEY_SERVER_PORT, port) < 0)
		return -1;
	return text_set(t, KEY_SERVER_NAME, name);
}

static int
set_addresses(struct wsgi_thread *t, const struct bicorn_request *r)
{
	if (text_set(t, KEY_REMOTE_ADDR, r->peer_address) < 0)
		return -1;
	if (r->peer_port > 0 && port_set(t, KEY_REMOTE_PORT,
	    r->peer_port, &t->remote_port) < 0)
		return -1;
	if (r->local_unix)
		return server_from_host(t, r);
	if (text_set(t, KEY_SERVER_NAME, r->local_address) < 0)
		return -1;
	return port_set(t, KEY_SERVER_PORT, r->local_port, &t->server_port);
}

/* RAW_URI, REQUEST_URI and, where it is the same text, PATH_INFO. */
static int
set_target(struct wsgi_thread *t, const struct bicorn_request *r)
{
	if (text_set(t, KEY_RAW_URI, r->target) < 0)
		return -1;
	if (t->text[KEY_REQUEST_URI] != t->text[KEY_RAW_URI] &&
	    text_put(t, KEY_REQUEST_URI, t->text[KEY_RAW_URI]) < 0)
		return -1;
	if (names_same(t->text[KEY_RAW_URI], r->path))
		return t->text[KEY_PATH_INFO] == t->text[KEY_RAW_URI] ? 0 :
		    text_put(t, KEY_PATH_INFO, t->text[KEY_RAW_URI]);
	return text_set(t, KEY_PATH_INFO, r->path);
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes into out, which is as large as s. */
static size_t
decode(char *out, struct bicorn_str s)
{
	size_t i, n = 0;

	for (i = 0; i < s.len; i++) {
		if (s.ptr[i] == '%' && i + 2 < s.len &&
		    hex(s.ptr[i + 1]) >= 0 && hex(s.ptr[i + 2]) >= 0) {
			out[n++] = (char)(hex(s.ptr[i + 1]) << 4 |
			    hex(s.ptr[i + 2]));
			i += 2;
		} else {
			out[n++] = s.ptr[i];
		}
	}
	return n;
}

/*
 * Whether a path as received is at or below the place where the application
 * is mounted.
 */
static bool
mounted(struct bicorn_str path, struct bicorn_str script)
{
	if (path.len < script.len ||
	    memcmp(path.ptr, script.ptr, script.len) != 0)
		return false;
	return path.len == script.len || path.ptr[script.len] == '/';
}

/*
 * Splits the path as received into SCRIPT_NAME and PATH_INFO, as gunicorn
 * does: who says where the application is mounted has to be right.
 */
static int
split_raw(struct wsgi_thread *t, const struct bicorn_request *r,
    struct bicorn_str script)
{
	struct bicorn_str rest = r->raw_path, path;
	char *out;
	int rc;

	if (!mounted(rest, script)) {
		PyErr_Format(PyExc_ValueError,
		    "the path is not below SCRIPT_NAME %R",
		    t->text[KEY_SCRIPT_NAME]);
		return -1;
	}
	rest.ptr += script.len;
	rest.len -= script.len;
	out = malloc(rest.len + 1);
	if (out == NULL) {
		PyErr_NoMemory();
		return -1;
	}
	path.ptr = out;
	path.len = decode(out, rest);
	rc = text_set(t, KEY_PATH_INFO, path);
	free(out);
	return rc;
}

/* ... where a proxy may have taken it off already. */
static int
split_if_there(struct wsgi_thread *t, const struct bicorn_request *r,
    struct bicorn_str script)
{
	struct bicorn_str rest = r->path;

	if (!mounted(rest, script))
		return 0;
	rest.ptr += script.len;
	rest.len -= script.len;
	return text_set(t, KEY_PATH_INFO, rest);
}

static struct bicorn_str
find(const struct bicorn_header *items, size_t count, const char *name)
{
	size_t i, len = strlen(name);

	for (i = 0; i < count; i++)
		if (items[i].name.len == len &&
		    bicorn_str_ieq(items[i].name, name))
			return items[i].value;
	return bicorn_str(NULL);
}

/* "/" and "/app/" mean "" and "/app": the slash belongs to PATH_INFO. */
static struct bicorn_str
without_slash(struct bicorn_str s)
{
	while (s.len > 0 && s.ptr[s.len - 1] == '/')
		s.len--;
	return s;
}

/*
 * SCRIPT_NAME: what a uwsgi request says, which has the path to go with it;
 * a proxy that is trusted; the environment; the setting root_path.
 */
static int
set_script(struct wsgi_thread *t, const struct bicorn_request *r,
    const struct variables *v)
{
	struct bicorn_str script = find(v->items, v->count, "SCRIPT_NAME");
	bool cgi = script.ptr != NULL, strict = !cgi;

	if (script.len > 0)
		return text_set(t, KEY_SCRIPT_NAME, script);
	if (!cgi)
		script = find(r->headers, r->header_count, "SCRIPT_NAME");
	if (script.ptr == NULL || cgi)
		script = t->wsgi->script_name;
	if (script.len == 0 && t->wsgi->root_path.len > 0) {
		script = t->wsgi->root_path;
		strict = false;
	}
	script = without_slash(script);
	if (text_set(t, KEY_SCRIPT_NAME, script) < 0)
		return -1;
	if (script.len == 0 || bicorn_str_eq(r->raw_path, "*"))
		return 0;
	return strict ? split_raw(t, r, script) :
			split_if_there(t, r, script);
}

static int
set_texts(struct wsgi_thread *t, const struct bicorn_request *r,
    const struct variables *v)
{
	if (text_set(t, KEY_REQUEST_METHOD, r->method) < 0 ||
	    text_set(t, KEY_QUERY_STRING, r->query) < 0 ||
	    text_set(t, KEY_SERVER_PROTOCOL, r->protocol) < 0 ||
	    text_set(t, KEY_URL_SCHEME, r->scheme) < 0 ||
	    set_target(t, r) < 0 || set_addresses(t, r) < 0)
		return -1;
	return set_script(t, r, v);
}

/* A field that came before: joined as a list, cookies as cookies. */
static int
join(PyObject *env, const struct wsgi_name *name, PyObject *before,
    PyObject *value)
{
	const char *format = name->kind == NAME_COOKIE ? "%U; %U" : "%U,%U";

	return set_steal(env, name->key,
	    PyUnicode_FromFormat(format, before, value));
}

static int
add_field(PyObject *env, const struct wsgi_name *name, PyObject *value)
{
	Py_ssize_t used = PyDict_GET_SIZE(env);
	PyObject *there;
	int rc;

	there = PyDict_SetDefault(env, name->key, value);
	if (there == NULL)
		return -1;
	if (PyDict_GET_SIZE(env) != used)
		return 0;
	Py_INCREF(there);
	rc = join(env, name, there, value);
	Py_DECREF(there);
	return rc;
}

/*
 * The body is received before the application is called, so a chunked one
 * has a length by then.  Applications (Django for one) see no body without
 * CONTENT_LENGTH.
 */
static int
add_length(struct wsgi_thread *t, PyObject *env, int64_t length)
{
	return set_steal(env, t->wsgi->keys[KEY_CONTENT_LENGTH],
	    PyUnicode_FromFormat("%lld", (long long)length));
}

/* For who wants to upgrade the connection: here, where there is no TLS. */
static int
add_socket(struct wsgi_thread *t, PyObject *env)
{
	t->lends_socket = true;
	return set_steal(env, t->wsgi->keys[KEY_SOCKET],
	    socket_new(t->wsgi->socket_type, t->call));
}

/* Libraries say that there is no socket, and not why. */
static void
tell_of_tls(struct wsgi *w, struct bicorn_str protocol)
{
	if (bicorn_str_ieq(protocol, "websocket") &&
	    !atomic_exchange(&w->told_of_tls, true))
		bicorn_log(w->server, BICORN_LOG_WARNING,
		    "A WebSocket was asked for over TLS, where environ has no "
		    "gunicorn.socket: it needs a proxy that ends TLS in front");
}

static int
add_fields(struct wsgi_thread *t, PyObject *env,
    const struct bicorn_request *r)
{
	struct wsgi_name *name;
	PyObject *value;
	bool recoded = false;
	size_t i;
	int rc;

	for (i = 0; i < r->header_count; i++) {
		name = names_find(t->names, t->wsgi->names,
		    r->headers[i].name);
		if (name == NULL)
			return -1;
		if (name->kind == NAME_TRANSFER_ENCODING &&
		    r->content_length >= 0) {
			recoded = true;
			continue;
		}
		if (name->kind == NAME_UPGRADE && r->tls)
			tell_of_tls(t->wsgi, r->headers[i].value);
		else if (name->kind == NAME_UPGRADE && add_socket(t, env) < 0)
			return -1;
		value = names_value(name, r->headers[i].value);
		if (value == NULL)
			return -1;
		rc = add_field(env, name, value);
		Py_DECREF(value);
		if (rc < 0)
			return -1;
	}
	return recoded ? add_length(t, env, r->content_length) : 0;
}

/* What there is to know about the connection, and its client's certificate. */
static int
add_tls(struct wsgi_thread *t, PyObject *env, struct bicorn_exchange *x)
{
	int i;

	for (i = TLS_FIRST; i < KEY_COUNT; i++) {
		struct bicorn_str s = bicorn_tls(x, key_texts[i]);

		if (s.ptr != NULL && set_steal(env, t->wsgi->keys[i],
		    PyUnicode_DecodeLatin1(s.ptr, (Py_ssize_t)s.len, NULL))
		    < 0)
			return -1;
	}
	return 0;
}

static bool
begins(struct bicorn_str s, const char *with)
{
	size_t len = strlen(with);

	return s.len >= len && memcmp(s.ptr, with, len) == 0;
}

/* Keys of these names are objects of the server's own. */
static bool
is_reserved(struct bicorn_str name)
{
	return begins(name, "wsgi.") || begins(name, "bicorn.") ||
	    begins(name, "gunicorn.") || bicorn_str_eq(name, "SCRIPT_NAME");
}

static int
add_variables(PyObject *env, const struct variables *v)
{
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < v->count; i++) {
		const struct bicorn_header *h = &v->items[i];
		PyObject *key;

		if (is_reserved(h->name))
			continue;
		key = PyUnicode_DecodeLatin1(h->name.ptr,
		    (Py_ssize_t)h->name.len, NULL);
		if (key == NULL)
			return -1;
		rc = set_steal(env, key, PyUnicode_DecodeLatin1(h->value.ptr,
		    (Py_ssize_t)h->value.len, NULL));
		Py_DECREF(key);
	}
	return rc;
}

PyObject *
environ_new(struct wsgi_thread *t, struct bicorn_exchange *x)
{
	const struct bicorn_request *r = x->request;
	struct variables v;
	PyObject *env;

	v.count = bicorn_variables(x, &v.items);
	if (set_texts(t, r, &v) < 0)
		return NULL;
	env = PyDict_Copy(t->environ);
	if (env == NULL)
		return NULL;
	if (r->id.len > 0 && set_steal(env, t->wsgi->keys[KEY_REQUEST_ID],
	    PyUnicode_DecodeLatin1(r->id.ptr, (Py_ssize_t)r->id.len, NULL)) <
	    0) {
		Py_DECREF(env);
		return NULL;
	}
	if ((r->peer_port == 0 &&
	    PyDict_DelItem(env, t->wsgi->keys[KEY_REMOTE_PORT]) < 0) ||
	    add_fields(t, env, r) < 0 ||
	    (r->tls && add_tls(t, env, x) < 0) ||
	    add_variables(env, &v) < 0)
		Py_CLEAR(env);
	return env;
}

/* --- the access log ------------------------------------------------------- */

/*
 * A text of environ holds bytes of UTF-8 as Latin-1; one of the
 * application's own holds characters.
 */
static PyObject *
note_bytes(PyObject *text)
{
	PyObject *bytes = PyUnicode_AsLatin1String(text), *decoded = NULL;

	if (bytes != NULL)
		decoded = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(bytes),
		    PyBytes_GET_SIZE(bytes), NULL);
	if (decoded == NULL) {
		PyErr_Clear();
		Py_XDECREF(bytes);
		return PyUnicode_AsEncodedString(text, "utf-8", "replace");
	}
	Py_DECREF(decoded);
	return bytes;
}

static void
note_text(struct bicorn_exchange *x, const char *name, PyObject *text)
{
	PyObject *bytes = note_bytes(text);
	struct bicorn_str value;

	if (bytes == NULL) {
		PyErr_Clear();
		return;
	}
	value.ptr = PyBytes_AS_STRING(bytes);
	value.len = (size_t)PyBytes_GET_SIZE(bytes);
	bicorn_note(x, name, value);
	Py_DECREF(bytes);
}

/* Python's objects print as they do in gunicorn: by str(). */
static void
note_value(struct bicorn_exchange *x, const char *name, PyObject *value)
{
	PyObject *text = PyObject_Str(value);

	if (text != NULL)
		note_text(x, name, text);
	else
		PyErr_Clear();
	Py_XDECREF(text);
}

void
environ_note(const struct wsgi *w, PyObject *env, struct bicorn_exchange *x)
{
	/* Printing a value may run code, and other threads run as well. */
	PyObject *copy = PyDict_Copy(env), *key, *value;
	const char *name;
	Py_ssize_t at = 0, len;
	size_t i;

	if (copy == NULL)
		PyErr_Clear();
	while (copy != NULL && PyDict_Next(copy, &at, &key, &value)) {
		if (!PyUnicode_CheckExact(key) || !PyUnicode_IS_ASCII(key))
			continue;
		name = PyUnicode_AsUTF8AndSize(key, &len);
		for (i = 0; name != NULL && i < w->note_count; i++) {
			if ((size_t)len != w->notes[i].len ||
			    !bicorn_str_ieq(w->notes[i], name))
				continue;
			note_value(x, name, value);
			break;
		}
	}
	Py_XDECREF(copy);
}

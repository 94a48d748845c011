/* SPDX-License-Identifier: MIT */

/*
 * A small hash table of fixed size for each pool thread.  Clients choose
 * the names, so a full neighbourhood loses its first entry; names too long
 * for a slot are never kept.
 */

#include "names.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS 128 /* a power of two */
#define PROBES 4
#define VALUE_KEEP 256 /* longer values are not kept */

struct wsgi_names {
	struct wsgi_name slots[SLOTS + PROBES];
	struct wsgi_name odd; /* the last name that was too long */
};

static const char *const common_keys[] = {
	"HTTP_ACCEPT", "HTTP_ACCEPT_CHARSET", "HTTP_ACCEPT_ENCODING",
	"HTTP_ACCEPT_LANGUAGE", "HTTP_ACCESS_CONTROL_REQUEST_HEADERS",
	"HTTP_ACCESS_CONTROL_REQUEST_METHOD", "HTTP_AUTHORIZATION",
	"HTTP_CACHE_CONTROL", "HTTP_CONNECTION", "HTTP_CONTENT_ENCODING",
	"HTTP_COOKIE", "HTTP_DNT", "HTTP_EXPECT", "HTTP_FORWARDED",
	"HTTP_HOST", "HTTP_IF_MATCH", "HTTP_IF_MODIFIED_SINCE",
	"HTTP_IF_NONE_MATCH", "HTTP_IF_RANGE", "HTTP_IF_UNMODIFIED_SINCE",
	"HTTP_KEEP_ALIVE", "HTTP_ORIGIN", "HTTP_PRAGMA", "HTTP_RANGE",
	"HTTP_REFERER", "HTTP_SEC_FETCH_DEST", "HTTP_SEC_FETCH_MODE",
	"HTTP_SEC_FETCH_SITE", "HTTP_SEC_FETCH_USER", "HTTP_TE",
	"HTTP_TRACEPARENT", "HTTP_TRANSFER_ENCODING", "HTTP_UPGRADE",
	"HTTP_UPGRADE_INSECURE_REQUESTS", "HTTP_USER_AGENT", "HTTP_VIA",
	"HTTP_X_CSRFTOKEN", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST",
	"HTTP_X_FORWARDED_PORT", "HTTP_X_FORWARDED_PROTO",
	"HTTP_X_REAL_IP", "HTTP_X_REQUEST_ID", "HTTP_X_REQUESTED_WITH",
	"CONTENT_TYPE", "CONTENT_LENGTH",
};

/* What environ does with certain fields. */
static const struct {
	const char *name;
	enum name_kind kind;
} kinds[] = {
	{ "Content-Type", NAME_CONTENT_TYPE },
	{ "Content-Length", NAME_CONTENT_LENGTH },
	{ "Transfer-Encoding", NAME_TRANSFER_ENCODING },
	{ "Cookie", NAME_COOKIE },
	{ "Authorization", NAME_AUTHORIZATION },
	{ "Proxy-Authorization", NAME_AUTHORIZATION },
	{ "SCRIPT_NAME", NAME_SCRIPT_NAME },
	{ "Upgrade", NAME_UPGRADE },
};

PyObject *
names_common(void)
{
	PyObject *dict = PyDict_New(), *key;
	size_t i;
	int rc;

	for (i = 0; dict != NULL &&
	     i < sizeof(common_keys) / sizeof(common_keys[0]); i++) {
		key = PyUnicode_InternFromString(common_keys[i]);
		rc = key != NULL ? PyDict_SetItem(dict, key, key) : -1;
		Py_XDECREF(key);
		if (rc < 0)
			Py_CLEAR(dict);
	}
	return dict;
}

struct wsgi_names *
names_new(void)
{
	struct wsgi_names *names = calloc(1, sizeof(*names));

	if (names == NULL)
		PyErr_NoMemory();
	return names;
}

static void
forget(struct wsgi_name *name)
{
	Py_CLEAR(name->key);
	Py_CLEAR(name->value);
}

void
names_free(struct wsgi_names **names)
{
	size_t i;

	if (*names == NULL)
		return;
	for (i = 0; i < SLOTS + PROBES; i++)
		forget(&(*names)->slots[i]);
	forget(&(*names)->odd);
	free(*names);
	*names = NULL;
}

static enum name_kind
kind_of(struct bicorn_str text)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (bicorn_str_ieq(text, kinds[i].name))
			return kinds[i].kind;
	return NAME_PLAIN;
}

/* "User-Agent" -> "HTTP_USER_AGENT"; out has room for 5 bytes more. */
static size_t
key_text(char *out, struct bicorn_str text, enum name_kind kind)
{
	size_t i, n = 0;

	if (kind != NAME_CONTENT_TYPE && kind != NAME_CONTENT_LENGTH) {
		memcpy(out, "HTTP_", 5);
		n = 5;
	}
	for (i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		out[n++] = c == '-' ? '_' : c;
	}
	return n;
}

static PyObject *
make_key(PyObject *common, struct bicorn_str text, enum name_kind kind)
{
	char small[256], *out = small;
	PyObject *key, *known;
	size_t len;

	if (text.len + 5 > sizeof(small)) {
		out = malloc(text.len + 5);
		if (out == NULL)
			return PyErr_NoMemory();
	}
	len = key_text(out, text, kind);
	key = PyUnicode_DecodeLatin1(out, (Py_ssize_t)len, NULL);
	if (out != small)
		free(out);
	if (key == NULL)
		return NULL;
	/* The interned one is what the constants of Python code are. */
	known = PyDict_GetItemWithError(common, key);
	if (known != NULL) {
		Py_INCREF(known);
		Py_DECREF(key);
		key = known;
	}
	return key;
}

static uint32_t
hash(struct bicorn_str s)
{
	uint64_t head = 0, tail = 0;
	size_t n = s.len < 8 ? s.len : 8;

	memcpy(&head, s.ptr, n);
	memcpy(&tail, s.ptr + s.len - n, n);
	head = (head ^ s.len) * UINT64_C(0x9e3779b97f4a7c15);
	head = (head ^ head >> 29 ^ tail) * UINT64_C(0xbf58476d1ce4e5b9);
	return (uint32_t)(head >> 40);
}

static struct wsgi_name *
fill(struct wsgi_name *name, PyObject *common, struct bicorn_str text)
{
	enum name_kind kind = kind_of(text);
	PyObject *key = make_key(common, text, kind);

	if (key == NULL)
		return NULL;
	forget(name);
	name->key = key;
	name->kind = (uint8_t)kind;
	if (text.len <= NAME_TEXT_MAX) {
		memcpy(name->text, text.ptr, text.len);
		name->len = (uint8_t)text.len;
	}
	return name;
}

struct wsgi_name *
names_find(struct wsgi_names *names, PyObject *common, struct bicorn_str text)
{
	struct wsgi_name *slot, *home;
	size_t i;

	if (text.len == 0 || text.len > NAME_TEXT_MAX)
		return fill(&names->odd, common, text);
	home = &names->slots[hash(text) & (SLOTS - 1)];
	for (i = 0; i < PROBES; i++) {
		slot = home + i;
		if (slot->key == NULL)
			return fill(slot, common, text);
		if (slot->len == text.len &&
		    memcmp(slot->text, text.ptr, text.len) == 0)
			return slot;
	}
	return fill(home, common, text);
}

bool
names_same(PyObject *str, struct bicorn_str s)
{
	return (size_t)PyUnicode_GET_LENGTH(str) == s.len &&
	    (s.len == 0 ||
	    memcmp(PyUnicode_1BYTE_DATA(str), s.ptr, s.len) == 0);
}

PyObject *
names_value(struct wsgi_name *name, struct bicorn_str value)
{
	PyObject *str = name->value;

	if (str != NULL && names_same(str, value)) {
		Py_INCREF(str);
		return str;
	}
	str = PyUnicode_DecodeLatin1(value.ptr, (Py_ssize_t)value.len, NULL);
	/* What is secret is not kept for longer than the request. */
	if (str == NULL || value.len > VALUE_KEEP ||
	    name->kind == NAME_COOKIE || name->kind == NAME_AUTHORIZATION)
		return str;
	Py_INCREF(str);
	Py_XSETREF(name->value, str);
	return str;
}

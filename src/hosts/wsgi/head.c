/* SPDX-License-Identifier: MIT */

/*
 * Checks of what an application says about its response.  They are made in
 * start_response(), where the application can be told by an exception whose
 * traceback shows the place.
 */

#include "head.h"

#include <stdlib.h>
#include <string.h>

#include "free.h"

/* Texts longer than this are checked each time. */
#define KEEP_LENGTH 64

/* Bytes of a token (RFC 9110, 5.6.2): one bit for each of the 128. */
static bool
is_token_byte(unsigned char c)
{
	static const uint64_t bits[2] = {
		UINT64_C(0x03ff6cfa00000000), /* !#$%&'*+-. and digits */
		UINT64_C(0x57ffffffc7fffffe), /* letters, ^_`|~ */
	};

	return c < 128 && (bits[c >> 6] >> (c & 63) & 1) != 0;
}

/* Bytes of a field value: no control bytes but the tab. */
static bool
is_text_byte(unsigned char c)
{
	return c >= 0x20 ? c != 0x7f : c == '\t';
}

/* Whether one of eight bytes is below 0x20, or 0x7f. */
static bool
has_control(uint64_t word)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t deleted = word ^ ones * 0x7f;

	return (((word - ones * 0x20) & ~word) |
	    ((deleted - ones) & ~deleted)) & ones * 0x80;
}

static bool
is_text(struct bicorn_str s)
{
	uint64_t word;

	while (s.len >= sizeof(word)) {
		memcpy(&word, s.ptr, sizeof(word));
		/* A tab is looked at by itself. */
		if (has_control(word))
			break;
		s.ptr += sizeof(word);
		s.len -= sizeof(word);
	}
	for (; s.len > 0; s.ptr++, s.len--)
		if (!is_text_byte((unsigned char)*s.ptr))
			return false;
	return true;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The bytes of a str of Latin-1 or of a bytes object. */
static int
text_of(PyObject *object, bool bytes_too, const char *what,
    struct bicorn_str *out)
{
	if (bytes_too && PyBytes_Check(object)) {
		out->ptr = PyBytes_AS_STRING(object);
		out->len = (size_t)PyBytes_GET_SIZE(object);
		return 0;
	}
	if (!PyUnicode_Check(object)) {
		PyErr_Format(PyExc_TypeError, "%s must be str, not %.200s",
		    what, Py_TYPE(object)->tp_name);
		return -1;
	}
#if PY_VERSION_HEX < 0x030c0000
	if (PyUnicode_READY(object) < 0)
		return -1;
#endif
	if (PyUnicode_KIND(object) != PyUnicode_1BYTE_KIND) {
		PyErr_Format(PyExc_ValueError,
		    "%s must be Latin-1 text: %R", what, object);
		return -1;
	}
	out->ptr = (const char *)PyUnicode_1BYTE_DATA(object);
	out->len = (size_t)PyUnicode_GET_LENGTH(object);
	return 0;
}

int
head_name(PyObject *name, bool bytes_too, struct bicorn_str *out)
{
	size_t i;

	if (text_of(name, bytes_too, "a header name", out) < 0)
		return -1;
	for (i = 0; i < out->len; i++)
		if (!is_token_byte((unsigned char)out->ptr[i]))
			break;
	if (i == out->len && i > 0)
		return 0;
	PyErr_Format(PyExc_ValueError, "not a header name: %R", name);
	return -1;
}

int
head_value(PyObject *value, bool bytes_too, struct bicorn_str *out)
{
	if (text_of(value, bytes_too, "a header value", out) < 0)
		return -1;
	if (!is_text(*out)) {
		PyErr_Format(PyExc_ValueError,
		    "control character in header value %R", value);
		return -1;
	}
	while (out->len > 0 && is_blank(out->ptr[0])) {
		out->ptr++;
		out->len--;
	}
	while (out->len > 0 && is_blank(out->ptr[out->len - 1]))
		out->len--;
	return 0;
}

PyObject *
head_pair(PyObject *field)
{
	PyObject *pair = PySequence_Tuple(field);

	if (pair != NULL && PyTuple_GET_SIZE(pair) != 2) {
		Py_DECREF(pair);
		PyErr_Format(PyExc_ValueError,
		    "a header must be a tuple (name, value), not %R", field);
		return NULL;
	}
	return pair;
}

/* "200 OK": three digits, and what follows the space is the reason. */
static int
check_status(PyObject *status, struct bicorn_str s, unsigned *code_out)
{
	unsigned code = 0;
	size_t i;

	for (i = 0; i < 3 && i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			break;
		code = code * 10 + (unsigned)(s.ptr[i] - '0');
	}
	if (i < 3 || (s.len > 3 && s.ptr[3] != ' ')) {
		PyErr_Format(PyExc_ValueError,
		    "the status must be like '200 OK', not %R", status);
		return -1;
	}
	if (code < 200) {
		PyErr_Format(PyExc_ValueError,
		    "status %R is not that of a final response", status);
		return -1;
	}
	if (!is_text(s)) {
		PyErr_Format(PyExc_ValueError,
		    "control character in status %R", status);
		return -1;
	}
	*code_out = code;
	return 0;
}

static int
set_status(struct wsgi_response *r, PyObject *status)
{
	struct bicorn_str s;

	if (text_of(status, false, "the status", &s) < 0)
		return -1;
	if (status != r->last_status) {
		Py_CLEAR(r->last_status);
		if (check_status(status, s, &r->last_code) < 0)
			return -1;
		if (s.len <= KEEP_LENGTH) {
			Py_INCREF(status);
			r->last_status = status;
		}
	}
	r->code = r->last_code;
	r->reason = bicorn_str(NULL);
	if (s.len > 4) {
		r->reason.ptr = s.ptr + 4;
		r->reason.len = s.len - 4;
	}
	Py_INCREF(status);
	r->status = status;
	return 0;
}

/* Content-Length: digits, and the same number when it is there twice. */
static int
set_length(struct wsgi_response *r, struct bicorn_str s)
{
	int64_t n = 0;
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9' ||
		    n > (INT64_MAX - 9) / 10)
			break;
		n = n * 10 + (s.ptr[i] - '0');
	}
	if (i == 0 || i < s.len || (r->length >= 0 && r->length != n)) {
		PyErr_SetString(PyExc_ValueError,
		    "Content-Length must be one number");
		return -1;
	}
	r->length = n;
	return 0;
}

static int
make_room(struct wsgi_response *r, size_t needed)
{
	size_t count = needed < 16 ? 16 : needed * 2;
	struct bicorn_header *headers;
	PyObject **pairs;

	if (needed <= r->capacity)
		return 0;
	headers = realloc(r->headers, count * sizeof(*headers));
	if (headers != NULL)
		r->headers = headers;
	pairs = realloc(r->pairs, count * sizeof(*pairs));
	if (pairs != NULL)
		r->pairs = pairs;
	if (headers == NULL || pairs == NULL) {
		PyErr_NoMemory();
		return -1;
	}
	r->capacity = count;
	return 0;
}

/*
 * The entry of a field name, which is checked if it is another object than
 * those of before; NULL with an exception.
 */
static const struct wsgi_checked *
check_name(struct wsgi_response *r, PyObject *name)
{
	struct wsgi_checked *c =
	    &r->checked[(uintptr_t)name >> 4 & (WSGI_CHECKED - 1)];

	if (c->name == name)
		return c;
	Py_CLEAR(c->name);
	if (head_name(name, false, &c->text) < 0)
		return NULL;
	c->is_length = bicorn_str_ieq(c->text, "Content-Length");
	if (c->text.len <= KEEP_LENGTH) {
		Py_INCREF(name);
		c->name = name;
	}
	return c;
}

/* Takes the reference to pair, also when it fails. */
static int
add_pair(struct wsgi_response *r, PyObject *pair)
{
	const struct wsgi_checked *name =
	    check_name(r, PyTuple_GET_ITEM(pair, 0));
	struct bicorn_header h;

	if (name == NULL ||
	    head_value(PyTuple_GET_ITEM(pair, 1), false, &h.value) < 0 ||
	    (name->is_length && set_length(r, h.value) < 0)) {
		Py_DECREF(pair);
		return -1;
	}
	h.name = name->text;
	r->headers[r->count] = h;
	r->pairs[r->count] = pair;
	r->count++;
	return 0;
}

static int
set_headers(struct wsgi_response *r, PyObject *headers)
{
	PyObject *list, *field, *pair;
	Py_ssize_t i;
	int rc = 0;

	list = PySequence_Fast(headers, "the headers must be a list");
	if (list == NULL)
		return -1;
	/* The list may change while a field of an odd type is looked at. */
	for (i = 0; rc == 0 && (field = free_item(list, i)) != NULL; i++) {
		pair = head_pair(field);
		Py_DECREF(field);
		if (pair == NULL)
			rc = -1;
		else if ((rc = make_room(r, (size_t)i + 1)) < 0)
			Py_DECREF(pair);
		else
			rc = add_pair(r, pair);
	}
	Py_DECREF(list);
	return rc;
}

int
head_set(struct wsgi_response *r, PyObject *status, PyObject *headers)
{
	r->length = -1;
	if (set_status(r, status) == 0 && set_headers(r, headers) == 0)
		return 0;
	head_clear(r);
	return -1;
}

void
head_clear(struct wsgi_response *r)
{
	while (r->count > 0)
		Py_DECREF(r->pairs[--r->count]);
	Py_CLEAR(r->status);
	r->reason = bicorn_str(NULL);
	r->length = -1;
}

void
head_forget(struct wsgi_response *r)
{
	for (int i = 0; i < WSGI_CHECKED; i++)
		Py_CLEAR(r->checked[i].name);
	Py_CLEAR(r->last_status);
}

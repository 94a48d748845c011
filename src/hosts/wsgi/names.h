/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_NAMES_H
#define BICORN_HOSTS_WSGI_NAMES_H

/*
 * Field names of requests and their keys in environ ("HTTP_USER_AGENT"),
 * remembered by each pool thread together with the last value: most
 * requests bring the fields of the one before.
 */

#include "wsgi.h"

enum name_kind {
	NAME_PLAIN,
	NAME_CONTENT_TYPE,
	NAME_CONTENT_LENGTH,
	NAME_TRANSFER_ENCODING,
	NAME_COOKIE,
	NAME_AUTHORIZATION,
	NAME_SCRIPT_NAME,
	NAME_UPGRADE,
};

#define NAME_TEXT_MAX 46

struct wsgi_name {
	PyObject *key;   /* NULL: the slot is free */
	PyObject *value; /* the last one, where it may be kept, or NULL */
	uint8_t kind;    /* enum name_kind */
	uint8_t len;
	char text[NAME_TEXT_MAX]; /* as received, in its own case */
};

/* dict of the keys of common fields, interned; NULL with an exception. */
PyObject *names_common(void);

/* NULL with an exception. */
struct wsgi_names *names_new(void);
void names_free(struct wsgi_names **names);

/*
 * The entry of a field name, valid until the next call; NULL with an
 * exception.  common is the result of names_common().
 */
struct wsgi_name *names_find(struct wsgi_names *names, PyObject *common,
    struct bicorn_str text);

/* The value as str: a new reference, or NULL with an exception. */
PyObject *names_value(struct wsgi_name *name, struct bicorn_str value);

/* Whether a str made from Latin-1 holds these bytes. */
bool names_same(PyObject *str, struct bicorn_str s);

#endif

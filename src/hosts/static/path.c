/* SPDX-License-Identifier: MIT */
/*
 * Names of files out of paths of requests.  The server's own decoding of the
 * path is not used: it cannot tell an encoded slash from a real one.
 */
#include "path.h"

#include <stdlib.h>
#include <string.h>

static const char WELL_KNOWN[] = ".well-known";
static const char INDEX[] = "index.html";

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/*
 * The next byte of raw, which must not be at its end; moves *at behind it.
 * A '%' that two hex digits do not follow stands for itself.
 */
static char
next_byte(struct bicorn_str raw, size_t *at, bool *encoded_out)
{
	const char *p = raw.ptr + *at;
	int high, low;

	*encoded_out = false;
	if (*p == '%' && raw.len - *at >= 3) {
		high = hex_digit(p[1]);
		low = hex_digit(p[2]);
		if (high >= 0 && low >= 0) {
			*at += 3;
			*encoded_out = true;
			return (char)(high << 4 | low);
		}
	}
	(*at)++;
	return *p;
}

/* Looks at the component that begins at `from` and ends the name so far. */
static bool
component_ok(const char *name, size_t from, size_t len)
{
	if (len == from || name[from] != '.')
		return true;
	return from == 0 && len == sizeof(WELL_KNOWN) - 1 &&
	    memcmp(name, WELL_KNOWN, len) == 0;
}

bool
path_decode(struct bicorn_str raw, char out[PATH_NAME_MAX], size_t *len_out)
{
	size_t at = 1, len = 0, from = 0;

	out[0] = '\0';
	*len_out = 0;
	if (raw.len == 0 || raw.ptr[0] != '/')
		return false;

	while (at < raw.len) {
		bool encoded;
		char c = next_byte(raw, &at, &encoded);

		if (c == '\0' || (c == '/' && encoded) || len + 1 >= PATH_MAX)
			return false;
		if (c == '/') {
			if (len == from)
				continue;
			if (!component_ok(out, from, len))
				return false;
			from = len + 1;
		}
		out[len++] = c;
	}
	if (!component_ok(out, from, len))
		return false;
	out[len] = '\0';
	*len_out = len;
	return true;
}

bool
path_is_directory(const char *name, size_t len)
{
	return len == 0 || name[len - 1] == '/';
}

void
path_add_index(char name[PATH_NAME_MAX], size_t *len)
{
	if (!path_is_directory(name, *len))
		return;
	memcpy(name + *len, INDEX, sizeof(INDEX));
	*len += sizeof(INDEX) - 1;
}

/* True for bytes that stand for themselves in a path (RFC 3986, 3.3). */
static bool
plain_in_path(unsigned char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9'))
		return true;
	return c != '\0' && strchr("/-._~!$&'()*+,;=:@", c) != NULL;
}

/* In a query, what is encoded already stays so. */
static bool
plain_in_query(unsigned char c)
{
	return plain_in_path(c) || c == '?' || c == '%';
}

static char *
append_encoded(char *to, const char *text, size_t len,
    bool (*plain)(unsigned char))
{
	static const char DIGITS[] = "0123456789ABCDEF";
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (plain(c)) {
			*to++ = (char)c;
		} else {
			*to++ = '%';
			*to++ = DIGITS[c >> 4];
			*to++ = DIGITS[c & 15];
		}
	}
	return to;
}

char *
path_location(const char *name, size_t len, struct bicorn_str query)
{
	/* Two slashes, the '?' and the end. */
	char *text = malloc(3 * len + 3 * query.len + 4);
	char *to = text;

	if (text == NULL)
		return NULL;
	*to++ = '/';
	to = append_encoded(to, name, len, plain_in_path);
	if (!path_is_directory(name, len))
		*to++ = '/';
	if (query.len > 0) {
		*to++ = '?';
		to = append_encoded(to, query.ptr, query.len, plain_in_query);
	}
	*to = '\0';
	return text;
}

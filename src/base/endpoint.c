/* SPDX-License-Identifier: MIT */
#include "base/endpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/span.h"

static int
wrong(struct err *err, bool plain)
{
	err_set(err, plain ? "must be HOST:PORT or unix://PATH" :
			     "must be udp://HOST:PORT, tcp://HOST:PORT, "
			     "unix://PATH#dgram or unix://PATH#stream");
	return -1;
}

static bool
take(const char **text, const char *prefix)
{
	size_t len = strlen(prefix);

	if (strncmp(*text, prefix, len) != 0)
		return false;
	*text += len;
	return true;
}

static int
parse_unix(struct endpoint *e, const char *path, bool plain, struct err *err)
{
	const char *type = strchr(path, '#');
	size_t len = type != NULL ? (size_t)(type - path) : strlen(path);

	e->kind = plain ? ENDPOINT_UNIX_DGRAM : ENDPOINT_UNIX;
	if (type != NULL && strcmp(type, "#dgram") == 0)
		e->kind = ENDPOINT_UNIX_DGRAM;
	else if (type != NULL && strcmp(type, "#stream") == 0 && !plain)
		e->kind = ENDPOINT_UNIX_STREAM;
	else if (type != NULL)
		return wrong(err, plain);
	if (len == 0)
		return wrong(err, plain);
	if (len >= sizeof(e->path)) {
		err_set(err, "the path of a unix socket has at most %zu bytes",
		    sizeof(e->path) - 1);
		return -1;
	}
	memcpy(e->path, path, len);
	return 0;
}

static int
parse_host(struct endpoint *e, const char *text, bool plain,
    const char *default_port, struct err *err)
{
	struct span host, port = span_of(default_port);
	unsigned long long number;
	const char *end;

	if (*text == '[') {
		end = strchr(++text, ']');
		if (end == NULL)
			return wrong(err, plain);
		host = (struct span){ text, (size_t)(end - text) };
		end++;
	} else {
		host = (struct span){ text, strcspn(text, ":") };
		end = text + host.len;
	}
	if (*end == ':')
		port = span_of(end + 1);
	else if (*end != '\0')
		return wrong(err, plain);
	if (host.len == 0 || host.len >= sizeof(e->host) ||
	    memchr(host.ptr, '/', host.len) != NULL ||
	    !span_uint(port, &number) || number == 0 || number > 65535)
		return wrong(err, plain);
	memcpy(e->host, host.ptr, host.len);
	snprintf(e->port, sizeof(e->port), "%u", (unsigned)number & 0xffff);
	return 0;
}

int
endpoint_parse(const char *text, bool plain, const char *default_port,
    struct endpoint *out, struct err *err)
{
	memset(out, 0, sizeof(*out));
	if (take(&text, "unix://"))
		return parse_unix(out, text, plain, err);
	if (take(&text, "udp://"))
		out->kind = ENDPOINT_UDP;
	else if (!plain && take(&text, "tcp://"))
		out->kind = ENDPOINT_TCP;
	else if (!plain)
		return wrong(err, plain);
	return parse_host(out, text, plain, default_port, err);
}

/* SPDX-License-Identifier: MIT */
/* The text of a bind setting, in gunicorn's syntax. */
#include "net/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "base/span.h"
#include "net/listen_private.h"

#define DEFAULT_PORT 8000

int
listen_bad(const char *spec, const char *why, struct err *err)
{
	err_set(err, "bind = %s: %s", spec, why);
	errno = EINVAL;
	return -1;
}

static bool
take_prefix(struct span *s, const char *prefix)
{
	size_t len = strlen(prefix);

	if (s->len < len ||
	    !span_ieq((struct span){ s->ptr, len }, span_of(prefix)))
		return false;
	s->ptr += len;
	s->len -= len;
	return true;
}

static int
parse_port(const char *spec, struct span text, struct target *t,
    struct err *err)
{
	unsigned long long port;

	if (!span_uint(text, &port) || port > 65535)
		return listen_bad(spec, "the port must be 0 to 65535", err);
	t->port = (unsigned)port;
	return 0;
}

static int
parse_fd(const char *spec, struct span text, struct target *t, struct err *err)
{
	unsigned long long fd;

	/* "3#NAME": the service manager calls it so. */
	t->kind = TARGET_FD;
	text.len = strcspn(text.ptr, "#");
	if (text.len > 0 && strspn(text.ptr, "0123456789") != text.len)
		return listen_bad(spec, "no socket of that name was inherited",
		    err);
	if (!span_uint(text, &fd) || fd > 1048576)
		return listen_bad(spec,
		    "fd:// takes the number of a descriptor", err);
	t->fd = (int)fd;
	return 0;
}

static int
parse_unix(const char *spec, struct span text, struct target *t,
    struct err *err)
{
	t->kind = TARGET_UNIX;
	t->path = text.ptr;
	if (text.len == 0 || (text.len == 1 && text.ptr[0] == '@'))
		return listen_bad(spec, "unix: takes a path", err);
	if (text.len >= LISTEN_PATH_ROOM) {
		err_set(err,
		    "bind = %s: the path has %zu bytes; a unix socket's has "
		    "%zu at most",
		    spec, text.len, LISTEN_PATH_ROOM - 1);
		errno = EINVAL;
		return -1;
	}
	return 0;
}

/* What stands between '[' and ']' must be a v6 address. */
static int
parse_bracketed(const char *spec, struct span *rest, struct target *t,
    struct err *err)
{
	const char *close = memchr(rest->ptr, ']', rest->len);
	size_t len = close != NULL ? (size_t)(close - rest->ptr) - 1 : 0;
	struct in6_addr a;
	char *zone;

	if (close == NULL || len == 0 || len > LISTEN_HOST_MAX)
		return listen_bad(spec, "write a v6 address as [ADDRESS]:PORT",
		    err);
	memcpy(t->host, rest->ptr + 1, len);
	t->host[len] = '\0';
	zone = strchr(t->host, '%'); /* fe80::1%eth0 */
	if (zone != NULL)
		*zone = '\0';
	if (inet_pton(AF_INET6, t->host, &a) != 1)
		return listen_bad(spec, "no v6 address stands between [ and ]",
		    err);
	if (zone != NULL)
		*zone = '%';
	rest->len -= len + 2;
	rest->ptr += len + 2;
	return 0;
}

static int
parse_host(const char *spec, struct span *rest, struct target *t,
    struct err *err)
{
	const char *colon = memchr(rest->ptr, ':', rest->len);
	size_t len = colon != NULL ? (size_t)(colon - rest->ptr) : rest->len;

	if (colon != NULL &&
	    memchr(colon + 1, ':', rest->len - len - 1) != NULL)
		return listen_bad(spec, "write a v6 address as [ADDRESS]:PORT",
		    err);
	if (len > LISTEN_HOST_MAX)
		return listen_bad(spec, "the host is too long", err);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)rest->ptr[i] <= ' ' || rest->ptr[i] == '/')
			return listen_bad(spec,
			    "that is no host; a path is written unix:PATH",
			    err);
	memcpy(t->host, rest->ptr, len);
	t->host[len] = '\0';
	rest->ptr += len;
	rest->len -= len;
	return 0;
}

static int
parse_tcp(const char *spec, struct span rest, struct target *t,
    struct err *err)
{
	const char *digits = "0123456789";
	int rc;

	t->kind = TARGET_TCP;
	t->port = DEFAULT_PORT;
	if (rest.len == 0)
		return listen_bad(spec, "no address", err);
	if (strspn(rest.ptr, digits) == rest.len) {
		err_set(err, "bind = %s: a port alone is written :%s", spec,
		    rest.ptr);
		errno = EINVAL;
		return -1;
	}
	rc = rest.ptr[0] == '[' ? parse_bracketed(spec, &rest, t, err) :
				  parse_host(spec, &rest, t, err);
	if (rc != 0 || rest.len == 0)
		return rc;
	if (rest.ptr[0] != ':')
		return listen_bad(spec, "write a v6 address as [ADDRESS]:PORT",
		    err);
	rest.ptr++;
	rest.len--;
	return parse_port(spec, rest, t, err);
}

int
target_parse(const char *spec, struct target *t, struct err *err)
{
	struct span rest = span_of(spec);

	memset(t, 0, sizeof(*t));
	if (take_prefix(&rest, "fd://"))
		return parse_fd(spec, rest, t, err);
	if (take_prefix(&rest, "unix:")) {
		take_prefix(&rest, "//");
		return parse_unix(spec, rest, t, err);
	}
	take_prefix(&rest, "tcp://");
	return parse_tcp(spec, rest, t, err);
}

bool
listen_is_loopback(const char *host)
{
	return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

/* A name counts: what it stands for is known when it is opened. */
static bool
may_be_local(const struct target *t)
{
	unsigned char bytes[16];
	bool is_name = inet_pton(AF_INET, t->host, bytes) != 1 &&
	    inet_pton(AF_INET6, t->host, bytes) != 1;

	return t->kind != TARGET_TCP || listen_is_loopback(t->host) ||
	    (is_name && t->host[0] != '\0');
}

int
listen_check(const char *spec, bool *local_out, struct err *err)
{
	struct target t;

	*local_out = false;
	if (target_parse(spec, &t, err) != 0)
		return -1;
	*local_out = may_be_local(&t);
	return 0;
}

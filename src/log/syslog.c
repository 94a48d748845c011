/* SPDX-License-Identifier: MIT */
#include "log/syslog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/facility.h"
#include "log/escape.h"
#include "log/log.h"
#include "log/outlet.h"

/* What daemons take as one message. */
#define MESSAGE_MAX 8192
#define NAME_MAX_BYTES 128

struct syslog_link {
	/* Constant after syslog_open(). */
	unsigned facility;
	char name[NAME_MAX_BYTES];

	struct outlet outlet;
};

/* What ends a tag, or a message, must not be in it. */
static void
copy_name(char out[NAME_MAX_BYTES], const char *name)
{
	size_t n = strnlen(name, NAME_MAX_BYTES - 1);

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)name[i];

		out[i] = c <= ' ' || c == ':' || c == '[' || c >= 0x7f ?
		    '.' : (char)c;
	}
	out[n] = '\0';
}

int
syslog_open(const char *address, const char *facility, const char *name,
    struct syslog_link **out, struct err *err)
{
	struct syslog_link *s = calloc(1, sizeof(*s));
	struct endpoint e;
	bool away;

	*out = NULL;
	if (s == NULL) {
		err_set(err, "out of memory");
		return -1;
	}
	facility_parse(facility, &s->facility);
	copy_name(s->name, name);
	if (endpoint_parse(address, false, "514", &e, err) != 0 ||
	    outlet_open(&s->outlet, &e, true, &away, err) != 0) {
		err_prefix(err, "syslog_addr = %s: ", address);
		free(s);
		return -1;
	}
	if (away)
		log_warning("syslog_addr = %s: nobody is there yet", address);
	*out = s;
	return 0;
}

void
syslog_close(struct syslog_link **sp)
{
	if (*sp != NULL)
		outlet_close(&(*sp)->outlet);
	free(*sp);
	*sp = NULL;
}

void
syslog_send(struct syslog_link *s, enum syslog_severity severity,
    const char *part, const char *text, size_t len)
{
	char head[NAME_MAX_BYTES + 64], body[MESSAGE_MAX];
	struct iovec iov[3] = { { head, 0 }, { (void *)text, len },
		{ (void *)"\n", 1 } };
	int n = snprintf(head, sizeof(head), "<%u>gunicorn.%s.%s: [%d] ",
	    s->facility * 8 + (unsigned)severity, s->name, part,
	    (int)getpid());

	iov[0].iov_len = (size_t)n;
	if (len > sizeof(body))
		iov[1].iov_len = sizeof(body);
	/* On a stream the line's end is the message's. */
	if (s->outlet.stream && memchr(text, '\n', len) != NULL) {
		iov[1].iov_base = body;
		iov[1].iov_len = escape_put(body, sizeof(body), &text, &len,
		    0);
	}
	outlet_send(&s->outlet, iov, s->outlet.stream ? 3 : 2);
}

uint64_t
syslog_lost(struct syslog_link *s)
{
	return outlet_lost(&s->outlet);
}

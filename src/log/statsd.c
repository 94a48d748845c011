/* SPDX-License-Identifier: MIT */
#include "log/statsd.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/err.h"
#include "base/lock.h"
#include "log/log.h"
#include "log/outlet.h"

/* What an Ethernet frame has room for, so that no packet is split. */
#define PACKET_MAX 1432
#define LINE_MAX_BYTES 512

struct statsd {
	/* Constant after statsd_open(). */
	char *prefix;
	char *suffix; /* "|#tags" or "" */
	struct outlet outlet;

	struct lock lock; /* rank LOCK_LOG */

	/* Guarded by lock. */
	size_t len;
	char packet[PACKET_MAX];
};

/* "shop" and "shop.." become "shop.". */
static char *
make_prefix(const char *prefix)
{
	size_t len = prefix != NULL ? strlen(prefix) : 0;
	char *out = malloc(len + 2);

	if (out == NULL)
		return NULL;
	while (len > 0 && prefix[len - 1] == '.')
		len--;
	if (len > 0) {
		memcpy(out, prefix, len);
		out[len++] = '.';
	}
	out[len] = '\0';
	return out;
}

static char *
make_suffix(const char *tags)
{
	size_t len = tags != NULL ? strlen(tags) : 0;
	char *out = malloc(len + 3);

	if (out == NULL)
		return NULL;
	if (len > 0)
		snprintf(out, len + 3, "|#%s", tags);
	else
		out[0] = '\0';
	return out;
}

int
statsd_open(const char *address, const char *prefix, const char *tags,
    struct statsd **out, struct err *err)
{
	struct statsd *s = calloc(1, sizeof(*s));
	struct endpoint e;
	bool away;

	*out = NULL;
	if (s != NULL) {
		s->outlet.fd = -1;
		lock_init(&s->lock, LOCK_LOG);
		s->prefix = make_prefix(prefix);
		s->suffix = make_suffix(tags);
	}
	if (s == NULL || s->prefix == NULL || s->suffix == NULL) {
		err_set(err, "out of memory");
		statsd_close(&s);
		return -1;
	}
	if (endpoint_parse(address, true, "8125", &e, err) != 0 ||
	    outlet_open(&s->outlet, &e, false, &away, err) != 0) {
		err_prefix(err, "statsd_host = %s: ", address);
		statsd_close(&s);
		return -1;
	}
	if (away)
		log_warning("statsd_host = %s: nobody is there yet", address);
	*out = s;
	return 0;
}

void
statsd_close(struct statsd **sp)
{
	struct statsd *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	if (s->outlet.fd >= 0)
		statsd_flush(s);
	outlet_close(&s->outlet);
	lock_fini(&s->lock);
	free(s->prefix);
	free(s->suffix);
	free(s);
}

/* Moves the packet out, so that it is sent without the lock. */
static size_t
take_packet_locked(struct statsd *s, char out[PACKET_MAX]) REQUIRES(s->lock)
{
	size_t len = s->len;

	memcpy(out, s->packet, len);
	s->len = 0;
	return len;
}

static void
send_packet(struct statsd *s, char *packet, size_t len)
{
	struct iovec iov = { packet, len - 1 }; /* without the last line end */

	if (len > 1)
		outlet_send(&s->outlet, &iov, 1);
}

/* Lines, each with its end. */
static void
gather(struct statsd *s, const char *lines, size_t len)
{
	char full[PACKET_MAX];
	size_t out = 0;

	lock_take(&s->lock);
	if (s->len + len > PACKET_MAX)
		out = take_packet_locked(s, full);
	memcpy(s->packet + s->len, lines, len);
	s->len += len;
	lock_drop(&s->lock);
	send_packet(s, full, out);
}

__attribute__((format(printf, 3, 4))) static void
put(struct statsd *s, size_t room, const char *fmt, ...)
{
	char text[PACKET_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, room, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < room)
		gather(s, text, (size_t)n);
}

void
statsd_request(struct statsd *s, unsigned status, uint64_t us)
{
	if (s == NULL)
		return;
	put(s, PACKET_MAX,
	    "%sgunicorn.request.duration:%" PRIu64 ".%03u|ms%s\n"
	    "%sgunicorn.requests:1|c|@1.0%s\n"
	    "%sgunicorn.request.status.%u:1|c|@1.0%s\n",
	    s->prefix, us / 1000, (unsigned)(us % 1000), s->suffix, s->prefix,
	    s->suffix, s->prefix, status, s->suffix);
}

void
statsd_count(struct statsd *s, const char *name)
{
	if (s != NULL)
		put(s, LINE_MAX_BYTES, "%s%s:1|c|@1.0%s\n", s->prefix, name,
		    s->suffix);
}

void
statsd_gauge(struct statsd *s, const char *name, int64_t value)
{
	if (s != NULL)
		put(s, LINE_MAX_BYTES, "%s%s:%" PRId64 "|g%s\n", s->prefix,
		    name, value, s->suffix);
}

void
statsd_histogram(struct statsd *s, const char *name, int64_t value)
{
	if (s != NULL)
		put(s, LINE_MAX_BYTES, "%s%s:%" PRId64 "|ms%s\n", s->prefix,
		    name, value, s->suffix);
}

void
statsd_forget(struct statsd *s)
{
	if (s == NULL)
		return;
	lock_take(&s->lock);
	s->len = 0;
	lock_drop(&s->lock);
}

void
statsd_flush(struct statsd *s)
{
	char packet[PACKET_MAX];
	size_t len;

	if (s == NULL)
		return;
	lock_take(&s->lock);
	len = take_packet_locked(s, packet);
	lock_drop(&s->lock);
	send_packet(s, packet, len);
}

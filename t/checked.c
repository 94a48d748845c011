/* SPDX-License-Identifier: MIT */
/*
 * Clients that know what they have to get, from one thread:
 *
 *	checked [-c CONNECTIONS] [-d SECONDS] [-p DEPTH] [-s SEED]
 *	    [-w SECONDS] [-b ONE_IN] [-l ONE_IN] [-m ONE_IN] [-e] [-r]
 *	    ADDRESS...
 *
 * ADDRESS is a port of 127.0.0.1, tls:PORT, proxy:PORT, where a PROXY header is
 * sent first, or the path of a unix socket.
 * Each connection sends bursts of up to DEPTH (8) requests that differ in all
 * that matters, as t/apps/checked.c explains them, and looks at every byte
 * that comes: each answer has to belong to the request whose turn it is, to
 * tell the sum of its body, to be framed right and to be followed by nothing.
 * Some send in pieces, some read little and late.  One in so many
 *
 *	-b (60)   bodies, of either direction, is big
 *	-l (50)   requests takes long, up to 3 ms
 *	-m (20)   bursts is disturbed: cut short, abandoned, half closed
 *
 * -e: the server may end connections that it has not answered anything of a
 * burst to, as when it is reloaded.  -r: it may refuse with 5xx.  A burst
 * that takes longer than -w (20) seconds is late.
 *
 * Prints one line of JSON, on standard error what was wrong, and the seed; 1
 * if anything was.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifdef HAVE_TLS
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
#include <psa/crypto.h>
#endif
#endif

#define DEPTH_MAX 32
#define READ_SIZE 65536
#define SWEEP_MS 3
#define SAID_MAX 9000

/* What one request asks for. */
struct ask {
	uint32_t id;
	uint32_t length; /* of the answer's body */
	uint32_t body;   /* bytes that are sent with it */
	uint32_t sum;    /* of those */
	char kind;       /* of answer: see t/apps/checked.c */
	char reading;    /* 'a': all of the body is read */
	bool head, expects;
};

/* How a burst ends. */
enum manner {
	MANNER_WHOLE,
	MANNER_CUT,  /* gone before the last request is whole */
	MANNER_GONE, /* gone before the last answer */
	MANNER_HALF  /* half closed once all is sent */
};

struct link {
	int fd;
	const char *address;
	struct ask asks[DEPTH_MAX];
	unsigned count, answered;
	enum manner manner;
	char *out, *in;
	size_t out_len, out_at, out_room;
	size_t in_len, in_room;
	size_t sip;           /* bytes that it reads at once */
	bool last;            /* nothing may come behind the burst */
	bool fresh;           /* it has not sent anything */
	int64_t begun_ms;     /* the burst */
	int64_t stalls_to_ms; /* until then it does nothing; 0: it does not */
#ifdef HAVE_TLS
	mbedtls_ssl_context *tls;
#endif
};

struct checked {
	int epoll;
	char **addresses;
	unsigned address_count;
	struct link *links;
	unsigned count, depth;
	unsigned big, slow, disturbs; /* one in so many */
	int64_t late_ms;
	bool ends, refusals;
	uint64_t random, seed;
	uint32_t next_id;
#ifdef HAVE_TLS
	mbedtls_ssl_config tls;
#endif
	unsigned long answers, connections, disturbed, unanswered, refused;
	unsigned long wrong, late;
};

enum verdict { WAITS, ANSWERED, WRONG };

static void
die(const char *what)
{
	perror(what);
	exit(2);
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Below n, which is not 0. */
static uint32_t
chance(struct checked *d, uint32_t n)
{
	d->random ^= d->random << 13;
	d->random ^= d->random >> 7;
	d->random ^= d->random << 17;
	return (uint32_t)(d->random >> 20) % n;
}

__attribute__((format(printf, 3, 4))) static void
complain(struct checked *d, const struct link *k, const char *format, ...)
{
	const struct ask *a = &k->asks[k->answered];
	va_list args;

	if (d->wrong++ >= 5)
		return;
	va_start(args, format);
	fprintf(stderr, "checked: ");
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "; %s, answer %u of %u", k->address, k->answered + 1,
	    k->count);
	if (k->answered < k->count)
		fprintf(stderr, ", of %c %u, %u bytes%s", a->kind, a->id,
		    a->length, a->head ? ", HEAD" : "");
	fprintf(stderr, ", sent %zu of %zu bytes%s, %lld ms; has: %.*s\n",
	    k->out_at, k->out_len,
	    k->manner == MANNER_HALF ? ", half closed" : "",
	    (long long)(now_ms() - k->begun_ms),
	    (int)(k->in_len < 300 ? k->in_len : 300), k->in);
}

static void
make_room(char **data, size_t *room, size_t need)
{
	if (need <= *room)
		return;
	*room = need * 2;
	*data = realloc(*data, *room);
	if (*data == NULL)
		die("realloc");
}

/* --- the wire ------------------------------------------------------------- */

#ifdef HAVE_TLS
static int
tls_random(void *arg, unsigned char *out, size_t len)
{
	(void)arg;
	return getrandom(out, len, 0) == (ssize_t)len ? 0 : -1;
}

static int
tls_send(void *arg, const unsigned char *data, size_t len)
{
	const struct link *k = arg;
	ssize_t n = send(k->fd, data, len, MSG_NOSIGNAL);

	return n >= 0 ? (int)n : errno == EAGAIN ? MBEDTLS_ERR_SSL_WANT_WRITE
						 : -1;
}

static int
tls_recv(void *arg, unsigned char *out, size_t len)
{
	const struct link *k = arg;
	ssize_t n = recv(k->fd, out, len, 0);

	return n >= 0 ? (int)n : errno == EAGAIN ? MBEDTLS_ERR_SSL_WANT_READ
						 : -1;
}

static void
tls_setup(struct checked *d)
{
	mbedtls_ssl_config_init(&d->tls);
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
	psa_crypto_init();
#endif
	if (mbedtls_ssl_config_defaults(&d->tls, MBEDTLS_SSL_IS_CLIENT,
	    MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT) != 0)
		die("mbedtls_ssl_config_defaults");
	mbedtls_ssl_conf_authmode(&d->tls, MBEDTLS_SSL_VERIFY_NONE);
#if MBEDTLS_VERSION_NUMBER < 0x04000000
	mbedtls_ssl_conf_rng(&d->tls, tls_random, NULL);
#else
	(void)tls_random;
#endif
}

static void
tls_begin(struct checked *d, struct link *k)
{
	k->tls = malloc(sizeof(*k->tls));
	if (k->tls == NULL)
		die("malloc");
	mbedtls_ssl_init(k->tls);
	if (mbedtls_ssl_setup(k->tls, &d->tls) != 0 ||
	    mbedtls_ssl_set_hostname(k->tls, "localhost") != 0)
		die("mbedtls_ssl_setup");
	mbedtls_ssl_set_bio(k->tls, k, tls_send, tls_recv, NULL);
}

/* What a call of the library returned, as a system call would have. */
static ssize_t
tls_result(int n)
{
	if (n >= 0)
		return n;
	if (n == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
		return 0;
	errno = EAGAIN;
	if (n != MBEDTLS_ERR_SSL_WANT_READ && n != MBEDTLS_ERR_SSL_WANT_WRITE)
		errno = ECONNRESET;
	return -1;
}

static ssize_t
tls_read(struct link *k, char *out, size_t len)
{
	int n;

	do
		n = mbedtls_ssl_read(k->tls, (unsigned char *)out, len);
#ifdef MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET
	while (n == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET);
#else
	while (false);
#endif
	return tls_result(n);
}
#endif

static ssize_t
link_read(struct link *k, char *out, size_t len)
{
#ifdef HAVE_TLS
	if (k->tls != NULL)
		return tls_read(k, out, len);
#endif
	return recv(k->fd, out, len, 0);
}

static ssize_t
link_write(struct link *k, const char *data, size_t len)
{
#ifdef HAVE_TLS
	if (k->tls != NULL)
		return tls_result(mbedtls_ssl_write(k->tls,
		    (const unsigned char *)data, len));
#endif
	return send(k->fd, data, len, MSG_NOSIGNAL);
}

static bool
is_tls(const struct link *k)
{
	return strncmp(k->address, "tls:", 4) == 0;
}

static bool
is_proxy(const struct link *k)
{
	return strncmp(k->address, "proxy:", 6) == 0;
}

static int
connected(struct checked *d, struct link *k)
{
	struct sockaddr_un path = { .sun_family = AF_UNIX };
	struct sockaddr_in port = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	bool local = strchr(k->address, '/') != NULL;
	int little = 4096, one = 1;
	int fd = socket(local ? AF_UNIX : AF_INET, SOCK_STREAM, 0);

	k->sip = READ_SIZE;
	if (local) {
		snprintf(path.sun_path, sizeof(path.sun_path), "%s",
		    k->address);
		if (connect(fd, (struct sockaddr *)&path, sizeof(path)) != 0)
			die(k->address);
		return fd;
	}
	port.sin_port = htons((uint16_t)atoi(k->address +
	    strcspn(k->address, "0123456789")));
	if (chance(d, 10) == 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
		k->sip = 1000;
	}
	if (connect(fd, (struct sockaddr *)&port, sizeof(port)) != 0)
		die(k->address);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void
open_link(struct checked *d, struct link *k)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET,
		.data.ptr = k };

	k->address = d->addresses[chance(d, d->address_count)];
	k->fd = connected(d, k);
#ifdef HAVE_TLS
	k->tls = NULL;
	if (is_tls(k))
		tls_begin(d, k);
#endif
	k->in_len = 0;
	k->last = false;
	k->fresh = true;
	k->stalls_to_ms = 0;
	d->connections++;
	if (fcntl(k->fd, F_SETFL, O_NONBLOCK) != 0 ||
	    epoll_ctl(d->epoll, EPOLL_CTL_ADD, k->fd, &ev) != 0)
		die("epoll_ctl");
}

static void
close_link(struct link *k, bool reset)
{
	const struct linger none = { .l_onoff = 1 };

	if (reset)
		setsockopt(k->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	close(k->fd);
#ifdef HAVE_TLS
	if (k->tls != NULL)
		mbedtls_ssl_free(k->tls);
	free(k->tls);
#endif
}

/* --- what is asked -------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void
say(struct link *k, const char *format, ...)
{
	va_list args;

	make_room(&k->out, &k->out_room, k->out_len + SAID_MAX);
	va_start(args, format);
	k->out_len += (size_t)vsnprintf(k->out + k->out_len, SAID_MAX,
	    format, args);
	va_end(args);
}

/* Adler-32, as zlib has it. */
static uint32_t
sum_of(const char *p, size_t len)
{
	uint32_t a = 1, b = 0;

	for (size_t i = 0; i < len; i++) {
		a = (a + (unsigned char)p[i]) % 65521;
		b = (b + a) % 65521;
	}
	return b << 16 | a;
}

static void
say_body(struct checked *d, struct link *k, struct ask *a, bool chunked)
{
	char *text = malloc(a->body + 1);
	uint32_t part;

	if (text == NULL)
		die("malloc");
	for (uint32_t i = 0; i < a->body; i++)
		text[i] = (char)('a' + (a->id + i * 7 + i / 26) % 26);
	a->sum = sum_of(text, a->body);
	make_room(&k->out, &k->out_room, k->out_len + a->body + 400);
	for (uint32_t at = 0; at < a->body; at += part) {
		part = chunked ? 1 + chance(d, a->body) : a->body;
		if (part > a->body - at)
			part = a->body - at;
		if (chunked)
			say(k, "%x\r\n", part);
		make_room(&k->out, &k->out_room, k->out_len + part);
		memcpy(k->out + k->out_len, text + at, part);
		k->out_len += part;
		if (chunked)
			say(k, "\r\n");
	}
	if (chunked)
		say(k, chance(d, 4) != 0 ? "0\r\n\r\n" : "0\r\nX-T: 1\r\n\r\n");
	free(text);
}

/* Small as a rule, seldom larger than any buffer of the server. */
static uint32_t
some_size(struct checked *d)
{
	uint32_t how = chance(d, d->big);

	return how == 0 ? chance(d, 300000) : how < 3 ? chance(d, 30000)
						      : chance(d, 200);
}

static void
say_request(struct checked *d, struct link *k)
{
	struct ask *a = &k->asks[k->count++];
	bool posts = chance(d, 4) == 0, chunked = chance(d, 2) == 0;

	*a = (struct ask){ .id = d->next_id++, .length = some_size(d) };
	a->kind = "llllllcccffppn"[chance(d, 14)];
	if (chance(d, 100) == 0)
		a->kind = 'b';
	a->reading = "aaaasn"[chance(d, 6)];
	a->head = !posts && a->kind != 'b' && chance(d, 10) == 0;
	say(k, "%s /%c%c?%u&%u&%u HTTP/1.1\r\nHost: x\r\n",
	    posts ? "POST" : a->head ? "HEAD" : "GET", a->kind, a->reading,
	    a->id, a->length, chance(d, d->slow) == 0 ? chance(d, 3000) : 0);
	for (uint32_t n = chance(d, 10) == 0 ? chance(d, 4) : 0; n > 0; n--)
		say(k, "X-Fill: %0*d\r\n", (int)chance(d, 8000), 0);
	if (posts) {
		a->body = some_size(d);
		a->expects = a->body > 0 && chance(d, 20) == 0;
		say(k, a->expects ? "Expect: 100-continue\r\n" : "");
		say(k, chunked ? "Transfer-Encoding: chunked\r\n"
			       : "Content-Length: %u\r\n", a->body);
	}
	say(k, "\r\n");
	if (posts)
		say_body(d, k, a, chunked);
}

static void
begin_burst(struct checked *d, struct link *k)
{
	unsigned depth = chance(d, 3) == 0 ? 1 + chance(d, d->depth) : 1;

	k->count = k->answered = 0;
	k->out_len = k->out_at = 0;
	k->begun_ms = now_ms();
	if (k->fresh && is_proxy(k))
		say(k, "PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n");
	k->fresh = false;
	while (k->count < depth)
		say_request(d, k);
	k->manner = MANNER_WHOLE;
	if (chance(d, d->disturbs) != 0)
		return;
	d->disturbed++;
	k->manner = (enum manner)(1 + chance(d, is_tls(k) ? 2 : 3));
	if (k->manner == MANNER_CUT)
		k->out_len = chance(d, (uint32_t)k->out_len);
}

/* --- what comes ----------------------------------------------------------- */

/* The value of a field of the head, or NULL. */
static const char *
field(const struct link *k, size_t head, const char *name)
{
	const char *at = memmem(k->in, head, name, strlen(name));

	return at != NULL ? at + strlen(name) : NULL;
}

/* Whether these are the bytes from `at` on of the body for that id. */
static bool
is_pattern(uint32_t id, size_t at, const char *p, size_t len)
{
	char unit[16];
	size_t size = (size_t)snprintf(unit, sizeof(unit), "%010u|", id);

	for (size_t i = 0; i < len; i++)
		if (p[i] != unit[(at + i) % size])
			return false;
	return true;
}

/* Behind the last chunk, if it is there; sets *size_out and *right_out. */
static size_t
chunks_end(const struct link *k, size_t at, uint32_t id, size_t *size_out,
    bool *right_out)
{
	unsigned long size = 1;
	char *end;

	*size_out = 0;
	*right_out = true;
	while (size > 0) {
		if (memchr(k->in + at, '\n', k->in_len - at) == NULL)
			return 0;
		size = strtoul(k->in + at, &end, 16);
		*right_out &= memcmp(end, "\r\n", 2) == 0;
		at = (size_t)(end + 2 - k->in);
		if (!*right_out || k->in_len < at + size + 2)
			return *right_out ? 0 : at;
		*right_out &= memcmp(k->in + at + size, "\r\n", 2) == 0 &&
			      is_pattern(id, *size_out, k->in + at, size);
		*size_out += size;
		at += size + 2;
	}
	return at;
}

/*
 * The end of the answer that begins at 0 and has a head of that size, if it
 * is there, otherwise 0.
 */
static size_t
body_end(struct checked *d, const struct link *k, size_t head)
{
	const struct ask *a = &k->asks[k->answered];
	const char *length = field(k, head, "\r\nContent-Length: ");
	bool chunked = field(k, head, "\r\nTransfer-Encoding: chunked\r\n");
	size_t size = 0, end = head;
	bool right = true;

	if (length != NULL && chunked)
		complain(d, k, "two framings");
	if (a->head || a->kind == 'n')
		return head;
	if (chunked) {
		end = chunks_end(k, head, a->id, &size, &right);
	} else if (length != NULL) {
		size = strtoul(length, NULL, 10);
		end = k->in_len < head + size ? 0 : head + size;
		right = end == 0 || is_pattern(a->id, 0, k->in + head, size);
	} else {
		right = false;
	}
	if (!right || (end != 0 && size != a->length))
		complain(d, k, "not the body");
	return end;
}

/* An error of the server's where that is to be expected. */
static size_t
refusal_end(struct checked *d, const struct link *k, size_t head)
{
	const struct ask *a = &k->asks[k->answered];
	const char *length = field(k, head, "\r\nContent-Length: ");
	size_t size = length != NULL && !a->head ? strtoul(length, NULL, 10)
						 : 0;

	if (k->in_len < head + size)
		return 0;
	d->refused++;
	return head + size;
}

/* Whether the head is that of the answer whose turn it is. */
static bool
head_is_right(struct checked *d, const struct link *k, size_t head)
{
	const struct ask *a = &k->asks[k->answered];
	const char *id = field(k, head, "\r\nX-Id: ");
	const char *sum = field(k, head, "\r\nX-Sum: ");
	char want[32];

	if (memcmp(k->in, a->kind == 'n' ? "HTTP/1.1 204 " : "HTTP/1.1 200 ",
	    13) != 0)
		complain(d, k, "status");
	else if (id == NULL || strtoul(id, NULL, 10) != a->id)
		complain(d, k, "the answer to another");
	else if (a->body == 0 || a->reading != 'a')
		return true;
	else if (snprintf(want, sizeof(want), "%u-%u\r\n", a->body, a->sum),
	    sum == NULL || memcmp(sum, want, strlen(want)) != 0)
		complain(d, k, "the sum is not %u-%u", a->body, a->sum);
	else
		return true;
	return false;
}

static void
forget(struct link *k, size_t len)
{
	memmove(k->in, k->in + len, k->in_len - len);
	k->in_len -= len;
}

/* Looks at the answer whose turn it is. */
static enum verdict
examine(struct checked *d, struct link *k)
{
	struct ask *a = &k->asks[k->answered];
	unsigned long wrong = d->wrong;
	bool fails, closes;
	size_t head, end;
	const char *mark;

	if (k->in_len == 0)
		return WAITS;
	if (k->answered == k->count) {
		complain(d, k, "more than was asked for");
		return WRONG;
	}
	mark = memmem(k->in, k->in_len, "\r\n\r\n", 4);
	if (mark == NULL)
		return WAITS;
	head = (size_t)(mark + 4 - k->in);
	if (a->expects && memcmp(k->in, "HTTP/1.1 100 ", 13) == 0) {
		a->expects = false;
		forget(k, head);
		return examine(d, k);
	}
	fails = (d->refusals || a->kind == 'b') &&
		memcmp(k->in, "HTTP/1.1 5", 10) == 0;
	if (!fails && !head_is_right(d, k, head))
		return WRONG;
	end = fails ? refusal_end(d, k, head) : body_end(d, k, head);
	if (d->wrong != wrong)
		return WRONG;
	if (end == 0)
		return WAITS;
	closes = field(k, head, "\r\nConnection: close\r\n") != NULL;
	forget(k, end);
	k->answered++;
	d->answers++;
	if (closes) { /* what stands behind it is not answered */
		d->unanswered += k->count - k->answered;
		k->count = k->answered;
		k->last = true;
	}
	return ANSWERED;
}

/* The server has ended the connection: whether it had a reason. */
static void
examine_end(struct checked *d, const struct link *k)
{
	const struct ask *a = &k->asks[k->answered];

	if (k->answered == k->count && k->in_len == 0 && k->last)
		return;
	if (k->answered < k->count && a->kind == 'b')
		return; /* what was to be complete was not: examine() */
	/* It had its answers, and nobody looked for seconds. */
	if (d->ends && k->answered == k->count && k->in_len == 0)
		return;
	if (d->ends && k->answered == 0 && k->in_len == 0) {
		d->unanswered += k->count;
		return;
	}
	complain(d, k, "the end of the connection");
}

/* --- turns ---------------------------------------------------------------- */

static void
stall(struct checked *d, struct link *k)
{
	k->stalls_to_ms = now_ms() + 1 + chance(d, 20);
}

static void
renew(struct checked *d, struct link *k, bool reset)
{
	close_link(k, reset);
	open_link(d, k);
	begin_burst(d, k);
}

/* Sends what the socket takes.  False once the client is gone. */
static bool
send_out(struct checked *d, struct link *k)
{
	while (k->out_at < k->out_len && k->stalls_to_ms == 0) {
		size_t len = k->out_len - k->out_at;
		ssize_t n;

		/* Over TLS what was begun has to be repeated as it was. */
		if (chance(d, 20) == 0 && !is_tls(k)) {
			len = 1 + chance(d, (uint32_t)len);
			if (chance(d, 4) == 0)
				stall(d, k);
		}
		n = link_write(k, k->out + k->out_at, len);
		if (n < 0)
			return true; /* what came will be looked at */
		k->out_at += (size_t)n;
	}
	if (k->out_at < k->out_len)
		return true;
	if (k->manner == MANNER_CUT)
		return false;
	if (k->manner == MANNER_HALF && !k->last) {
		shutdown(k->fd, SHUT_WR);
		k->last = true;
	}
	return true;
}

/* Reads what is there, and sets *end_out when there is no more to come. */
static void
receive(struct checked *d, struct link *k, bool *end_out)
{
	ssize_t n;

	*end_out = false;
	while (k->stalls_to_ms == 0) {
		make_room(&k->in, &k->in_room, k->in_len + k->sip);
		n = link_read(k, k->in + k->in_len, k->sip);
		if (n <= 0) {
			*end_out = n == 0 || errno != EAGAIN;
			return;
		}
		k->in_len += (size_t)n;
		if (k->sip < READ_SIZE && chance(d, 50) == 0)
			stall(d, k);
	}
}

/* Both directions of a connection, as far as they go. */
static void
attend(struct checked *d, struct link *k)
{
	enum verdict v;
	bool end;

	if (k->stalls_to_ms > now_ms())
		return;
	k->stalls_to_ms = 0;
	if (!send_out(d, k)) {
		renew(d, k, chance(d, 2) == 0);
		return;
	}
	receive(d, k, &end);
	do
		v = examine(d, k);
	while (v == ANSWERED);
	if (end && v != WRONG)
		examine_end(d, k);
	if (end || v == WRONG)
		renew(d, k, v == WRONG);
	else if (k->manner == MANNER_GONE && chance(d, 2) == 0)
		renew(d, k, chance(d, 2) == 0);
	else if (k->answered == k->count && !k->last) {
		begin_burst(d, k);
		if (!send_out(d, k))
			renew(d, k, true);
	}
}

/* Those that stalled go on; those that wait for too long are told of. */
static void
sweep(struct checked *d)
{
	int64_t now = now_ms();

	for (unsigned i = 0; i < d->count; i++) {
		struct link *k = &d->links[i];

		if (k->stalls_to_ms != 0)
			attend(d, k);
		if (now - k->begun_ms > d->late_ms) {
			d->late++;
			complain(d, k, "late");
			renew(d, k, true);
		}
	}
}

static void
run(struct checked *d, double seconds)
{
	int64_t end = now_ms() + (int64_t)(seconds * 1000), swept = 0;
	struct epoll_event events[64];

	while (now_ms() < end) {
		int n = epoll_wait(d->epoll, events, 64, SWEEP_MS);

		for (int i = 0; i < n; i++)
			attend(d, events[i].data.ptr);
		if (now_ms() - swept >= SWEEP_MS) {
			sweep(d);
			swept = now_ms();
		}
	}
}

static int
report(const struct checked *d)
{
	if (d->wrong > 0)
		fprintf(stderr, "checked: the seed was %llu\n",
		    (unsigned long long)d->seed);
	printf("{\"answers\": %lu, \"wrong\": %lu, \"late\": %lu, "
	       "\"connections\": %lu, \"disturbed\": %lu, "
	       "\"unanswered\": %lu, \"refused\": %lu}\n",
	    d->answers, d->wrong, d->late, d->connections, d->disturbed,
	    d->unanswered, d->refused);
	return d->wrong > 0;
}

int
main(int argc, char **argv)
{
	struct checked d = { .count = 32, .depth = 8, .big = 60, .slow = 50,
		.disturbs = 20, .late_ms = 20000, .next_id = 1 };
	double seconds = 3;
	int option;

	if (getrandom(&d.seed, sizeof(d.seed), 0) != sizeof(d.seed))
		die("getrandom");
	while ((option = getopt(argc, argv, "b:c:d:l:p:m:s:w:er")) != -1)
		switch (option) {
		case 'c': d.count = (unsigned)atoi(optarg); break;
		case 'd': seconds = atof(optarg); break;
		case 'p': d.depth = (unsigned)atoi(optarg); break;
		case 'm': d.disturbs = (unsigned)atoi(optarg); break;
		case 'b': d.big = (unsigned)atoi(optarg); break;
		case 'l': d.slow = (unsigned)atoi(optarg); break;
		case 's': d.seed = strtoull(optarg, NULL, 10); break;
		case 'w': d.late_ms = atoi(optarg) * 1000; break;
		case 'e': d.ends = true; break;
		case 'r': d.refusals = true; break;
		default: return 2;
		}
	d.random = d.seed != 0 ? d.seed : 1;
	d.addresses = argv + optind;
	d.address_count = (unsigned)(argc - optind);
	if (d.address_count == 0 || d.count == 0 || d.depth == 0 ||
	    d.depth > DEPTH_MAX || d.big == 0 || d.slow == 0 ||
	    d.disturbs == 0)
		return 2;
#ifdef HAVE_TLS
	tls_setup(&d);
#endif
	d.epoll = epoll_create1(0);
	d.links = calloc(d.count, sizeof(*d.links));
	if (d.links == NULL || d.epoll < 0)
		die("checked");
	for (unsigned i = 0; i < d.count; i++) {
		open_link(&d, &d.links[i]);
		begin_burst(&d, &d.links[i]);
	}
	run(&d, seconds);
	for (unsigned i = 0; i < d.count; i++) {
		close_link(&d.links[i], false);
		free(d.links[i].in);
		free(d.links[i].out);
	}
	free(d.links);
	return report(&d);
}

/*
 * A tour of bicorn/app.h: one small page for each thing that it can do.
 *
 *	cc -shared -fPIC $(pkg-config --cflags bicorn) tour.c -o tour.so
 *	bicorn ./tour.so
 *
 *	curl localhost:8000/                         what there is
 *	curl 'localhost:8000/hello?name=you'         the query
 *	curl -N 'localhost:8000/stream?count=5'      a piece at a time
 *	curl -d 'some text' localhost:8000/echo      the body, whole
 *	curl -T big.iso localhost:8000/length        the body, in pieces
 *	curl localhost:8000/file                     a file
 *	curl localhost:8000/thread                   what a thread keeps
 *	printf 'GET /talk HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n' \
 *	    'Upgrade: echo\r\n\r\nhello\n' | nc localhost 8000
 *	                                             the connection itself
 */
#define _POSIX_C_SOURCE 200809L

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <bicorn/app.h>

/*
 * Made by load(), once in each worker process.  All threads read it, so it
 * does not change any more; what changes would need a lock.
 */
struct tour {
	int fd; /* of the file that /file sends, or -1 */
	unsigned threads;
};

/* Made by thread_start(): belongs to one thread and needs no lock. */
struct guide {
	unsigned number;
	unsigned long visitors;
};

/* --- small helpers -------------------------------------------------------- */

static void
reply_text(struct bicorn_exchange *x, unsigned status, const char *text)
{
	bicorn_reply(x, status, "text/plain; charset=utf-8", text,
	    strlen(text));
}

/*
 * The value of NAME in "a=1&NAME=value", not decoded; ptr is NULL when there
 * is none.  Strings of a request are not terminated: they have a length.
 */
static struct bicorn_str
query_value(const struct bicorn_exchange *x, const char *name)
{
	struct bicorn_str rest = x->request->query;
	struct bicorn_str none = { NULL, 0 };
	size_t name_len = strlen(name);

	while (rest.len > 0) {
		const char *end = memchr(rest.ptr, '&', rest.len);
		size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;

		if (len > name_len && rest.ptr[name_len] == '=' &&
		    memcmp(rest.ptr, name, name_len) == 0) {
			struct bicorn_str value;

			value.ptr = rest.ptr + name_len + 1;
			value.len = len - name_len - 1;
			return value;
		}
		if (end == NULL)
			break;
		rest.ptr += len + 1;
		rest.len -= len + 1;
	}
	return none;
}

/* A number out of the query, between 0 and most. */
static unsigned
query_number(const struct bicorn_exchange *x, const char *name,
    unsigned usual, unsigned most)
{
	struct bicorn_str text = query_value(x, name);
	unsigned value = 0;
	size_t i;

	if (text.ptr == NULL || text.len == 0)
		return usual;
	for (i = 0; i < text.len && isdigit((unsigned char)text.ptr[i]); i++) {
		value = value * 10 + (unsigned)(text.ptr[i] - '0');
		if (value >= most)
			return most;
	}
	return value;
}

static void
pause_ms(unsigned ms)
{
	struct timespec t;

	t.tv_sec = ms / 1000;
	t.tv_nsec = (long)(ms % 1000) * 1000000L;
	nanosleep(&t, NULL);
}

/* --- the pages ------------------------------------------------------------ */

static void
show_index(struct bicorn_exchange *x)
{
	reply_text(x, 200, "A tour of bicorn/app.h:\n"
	    "  /hello?name=NAME\n  /stream?count=N&pause=MS\n"
	    "  /echo    (POST)\n  /length  (PUT or POST)\n  /file\n"
	    "  /thread\n  /talk    (Upgrade: echo)\n");
}

/* Several pieces, one write: nothing has to be copied together first. */
static void
say_hello(struct bicorn_exchange *x)
{
	struct bicorn_str parts[3];
	struct bicorn_header type =
	    bicorn_field("Content-Type", "text/plain; charset=utf-8");

	parts[0] = bicorn_str("Hello, ");
	parts[1] = query_value(x, "name");
	if (parts[1].ptr == NULL)
		parts[1] = bicorn_str("World");
	parts[2] = bicorn_str("!\n");
	if (bicorn_respond(x, 200, &type, 1, BICORN_LENGTH_UNKNOWN) ==
	    BICORN_OK)
		bicorn_writev(x, parts, 3);
}

/*
 * A response whose length nobody knows is sent in chunks.  Small writes are
 * gathered; bicorn_flush() sends what there is to the client now.
 */
static void
stream_lines(struct bicorn_exchange *x)
{
	unsigned count = query_number(x, "count", 10, 1000000);
	unsigned pause = query_number(x, "pause", 0, 10000);
	struct bicorn_header type =
	    bicorn_field("Content-Type", "text/plain; charset=utf-8");
	char line[64];
	unsigned i;
	int len;

	if (bicorn_respond(x, 200, &type, 1, BICORN_LENGTH_UNKNOWN) !=
	    BICORN_OK)
		return;
	for (i = 1; i <= count; i++) {
		len = snprintf(line, sizeof(line), "line %u of %u\n", i, count);
		/*
		 * A client that is gone makes write and flush fail, sooner or
		 * later; bicorn_gone() may know before.
		 */
		if (bicorn_gone(x) ||
		    bicorn_write(x, line, (size_t)len) != BICORN_OK ||
		    bicorn_flush(x) != BICORN_OK) {
			bicorn_logf(x->server, BICORN_LOG_INFO,
			    "tour: the client left after %u lines", i - 1);
			return;
		}
		if (pause > 0)
			pause_ms(pause);
	}
}

/* The whole body at once.  A large one is a mapped file, not memory. */
static void
echo_body(struct bicorn_exchange *x)
{
	struct bicorn_str sent = bicorn_header(x, "Content-Type");
	struct bicorn_header type =
	    bicorn_field("Content-Type", "application/octet-stream");
	struct bicorn_str body;

	if (bicorn_body(x, &body) != BICORN_OK) {
		reply_text(x, 500, "The body cannot be read.\n");
		return;
	}
	if (sent.ptr != NULL)
		type.value = sent;
	if (bicorn_respond(x, 200, &type, 1, (int64_t)body.len) == BICORN_OK)
		bicorn_write(x, body.ptr, body.len);
}

/* The body in pieces, for what is looked at once. */
static void
measure_body(struct bicorn_exchange *x)
{
	char buf[16384], text[96];
	unsigned long long bytes = 0, lines = 0;
	int64_t n, i;

	while ((n = bicorn_read(x, buf, sizeof(buf))) > 0) {
		bytes += (unsigned long long)n;
		for (i = 0; i < n; i++)
			lines += buf[i] == '\n';
	}
	if (n < 0) {
		reply_text(x, 500, "The body cannot be read.\n");
		return;
	}
	snprintf(text, sizeof(text), "%llu bytes, %llu lines\n", bytes, lines);
	reply_text(x, 200, text);
}

/*
 * The file goes from the disk's cache to the socket without passing through
 * this program, also to a client that takes its time: the call returns at
 * once.  All threads use the one descriptor; its offset does not move.
 */
static void
send_the_file(struct bicorn_exchange *x)
{
	const struct tour *tour = x->app;
	struct bicorn_header type =
	    bicorn_field("Content-Type", "text/plain; charset=utf-8");

	if (tour->fd < 0) {
		reply_text(x, 404, "There is no file: set TOUR_FILE.\n");
		return;
	}
	if (bicorn_respond(x, 200, &type, 1, BICORN_LENGTH_UNKNOWN) !=
	    BICORN_OK)
		return;
	if (bicorn_send_file(x, tour->fd, 0, -1) == BICORN_IO)
		bicorn_abort(x); /* the client must not take it for whole */
}

static void
show_thread(struct bicorn_exchange *x)
{
	const struct tour *tour = x->app;
	const struct guide *guide = x->thread;
	char text[128];

	snprintf(text, sizeof(text),
	    "thread %u of %u, %lu requests so far\n", guide->number,
	    tour->threads, guide->visitors);
	reply_text(x, 200, text);
}

/*
 * Takes the connection over, as WebSockets do, and talks a protocol of its
 * own: what the client sends comes back in capitals, until it stops.
 */
static void
talk(struct bicorn_exchange *x)
{
	struct bicorn_header headers[2];
	char buf[4096];
	int64_t n, i;
	int fd;

	if (!bicorn_str_ieq(bicorn_header(x, "Upgrade"), "echo")) {
		headers[0] = bicorn_field("Upgrade", "echo");
		bicorn_respond(x, 426, headers, 1, 0);
		return;
	}
	headers[0] = bicorn_field("Connection", "Upgrade");
	headers[1] = bicorn_field("Upgrade", "echo");
	if (bicorn_take_over(x, 101, headers, 2, &fd) != BICORN_OK)
		return;

	/* A thread is held as long as this lasts: at most a minute of silence. */
	while ((n = bicorn_raw_read(x, buf, sizeof(buf), 60000)) > 0) {
		for (i = 0; i < n; i++)
			buf[i] = (char)toupper((unsigned char)buf[i]);
		if (bicorn_raw_write(x, buf, (size_t)n) != BICORN_OK)
			break;
	}
	/* When handle() returns, the connection is closed. */
}

/* --- what the server calls ------------------------------------------------ */

struct page {
	const char *path;
	const char *method; /* NULL: any */
	void (*show)(struct bicorn_exchange *x);
};

static const struct page pages[] = {
	{ "/", NULL, show_index },
	{ "/hello", NULL, say_hello },
	{ "/stream", NULL, stream_lines },
	{ "/echo", "POST", echo_body },
	{ "/length", NULL, measure_body },
	{ "/file", NULL, send_the_file },
	{ "/thread", NULL, show_thread },
	{ "/talk", "GET", talk },
};

/*
 * Answers one exchange.  Runs on several threads at once, each with an
 * exchange of its own.
 */
static void
handle(struct bicorn_exchange *x)
{
	const struct bicorn_request *r = x->request;
	struct guide *guide = x->thread;
	struct bicorn_header allow;
	size_t i;

	guide->visitors++;
	for (i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		const struct page *p = &pages[i];

		if (!bicorn_str_eq(r->path, p->path))
			continue;
		if (p->method == NULL || bicorn_str_eq(r->method, p->method)) {
			p->show(x);
			return;
		}
		allow = bicorn_field("Allow", p->method);
		bicorn_respond(x, 405, &allow, 1, 0);
		return;
	}
	reply_text(x, 404, "There is no such page.\n");
}

/*
 * Runs once in each worker process, before any other call.  What it leaves
 * in l->app is x->app later on.
 */
static int
load(struct bicorn_load *l)
{
	const char *name = getenv("TOUR_FILE");
	struct tour *tour = malloc(sizeof(*tour));

	if (tour == NULL) {
		snprintf(l->error, l->error_size, "out of memory");
		return BICORN_LOAD_FAILED;
	}
	tour->threads = l->threads;
	tour->fd = open(name != NULL ? name : __FILE__, O_RDONLY | O_CLOEXEC);
	if (tour->fd < 0 && name != NULL) {
		/* The worker does not start; the log says why. */
		snprintf(l->error, l->error_size, "cannot open %s", name);
		free(tour);
		return BICORN_LOAD_FAILED;
	}
	bicorn_logf(l->server, BICORN_LOG_INFO,
	    "tour: begins on %u threads of %s", l->threads,
	    l->server->software);
	l->app = tour;
	return BICORN_LOADED;
}

static void
unload(void *app)
{
	struct tour *tour = app;

	if (tour == NULL)
		return; /* load() failed */
	if (tour->fd >= 0)
		close(tour->fd);
	free(tour);
}

/* Runs on each thread before its first exchange. */
static int
thread_start(void *app, unsigned number, void **thread_out)
{
	struct guide *guide = calloc(1, sizeof(*guide));

	(void)app;
	if (guide == NULL)
		return -1;
	guide->number = number;
	*thread_out = guide;
	return 0;
}

static void
thread_stop(void *app, void *thread)
{
	(void)app;
	free(thread);
}

BICORN_APP(.handle = handle, .load = load, .unload = unload,
    .thread_start = thread_start, .thread_stop = thread_stop)

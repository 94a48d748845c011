/* SPDX-License-Identifier: MIT */
#ifndef BICORN_APP_H
#define BICORN_APP_H

/*
 * bicorn/app.h: applications in C.
 *
 * An application is a shared object that exports one `struct bicorn_app`
 * named bicorn_app (or the name after the colon in PATH.so:NAME).  The
 * server calls it, and lends it `struct bicorn_server`, a table of functions
 * that the inline helpers below wrap: nothing needs linking.
 *
 *	#include <bicorn/app.h>
 *
 *	static void
 *	hello(struct bicorn_exchange *x)
 *	{
 *		bicorn_reply(x, 200, "text/plain", "Hello, World!\n", 14);
 *	}
 *
 *	BICORN_APP(.handle = hello)
 *
 *	cc -shared -fPIC $(pkg-config --cflags bicorn) hello.c -o hello.so
 *	bicorn ./hello.so
 *
 * C99 and C++ (11 or newer; designated initialisers as above need C++20,
 * older C++ fills the struct by position).  Needs libc only.
 *
 * Threads: handle() runs on many threads at once, each with an exchange of
 * its own.  An exchange belongs to the thread that was given it, until
 * handle() returns; nothing of it may be used afterwards or elsewhere.
 *
 * Strings are spans: not terminated, owned by the server, valid until
 * handle() returns, unless said otherwise.
 *
 * Changes of the interface:
 *	1.0 (2026-11)  first
 *	1.1 (2026-11)  bicorn_tls(), bicorn_error(), bicorn_status(),
 *	               bicorn_note(), bicorn_notes(), bicorn_variables(),
 *	               bicorn_waited(), bicorn_listener_at(),
 *	               bicorn_access_line(),
 *	               bicorn_take_over() with status 0,
 *	               bicorn_request.id, BICORN_LOG_PLAIN, BICORN_LOG_ACCESS;
 *	               moments: events, event(), helper();
 *	               settings(), files(), thread_idle(), traits;
 *	               bicorn_load.flags, .number, .arbiter and .traits;
 *	               fork_prepare(), fork_parent(), fork_child()
 */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
/* Casts that C has, too, and functions named as their structs. */
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wshadow"
#endif
extern "C" {
#endif

/*
 * A module loads when its major number is the server's and its minor number
 * is not above the server's.  A new minor number only adds: functions at the
 * end of a struct, whose `size` says how much of it is there.
 */
#define BICORN_ABI_MAJOR 1
#define BICORN_ABI_MINOR 1

/* What functions return that can fail.  0 and above is success. */
enum bicorn_result {
	BICORN_OK = 0,
	BICORN_GONE = -1,    /* the client is gone or too slow: stop writing */
	BICORN_INVALID = -2, /* an argument is not allowed; nothing was sent */
	BICORN_STATE = -3,   /* not at this point of the exchange */
	BICORN_NO_MEMORY = -4,
	BICORN_IO = -5,      /* a file could not be read */
	BICORN_TIMEOUT = -6  /* nothing came in time */
};

enum bicorn_log_level {
	BICORN_LOG_DEBUG,
	BICORN_LOG_INFO,
	BICORN_LOG_WARNING,
	BICORN_LOG_ERROR,
	BICORN_LOG_CRITICAL,
	/*
	 * Since 1.1, added to one of these: the text as it is, without time,
	 * process and level in front of it, whatever loglevel says.
	 */
	BICORN_LOG_PLAIN = 16,
	/*
	 * Since 1.1, in place of a level: a line of the access log, where
	 * there is one.
	 */
	BICORN_LOG_ACCESS = 32
};

/* The longest line of the access log. */
#define BICORN_ACCESS_LINE_MAX 16384

/* Bytes, not terminated. */
struct bicorn_str {
	const char *ptr;
	size_t len;
};

struct bicorn_header {
	struct bicorn_str name; /* request: as received, in its own case */
	struct bicorn_str value; /* without white space at its ends */
};

/* The length given to bicorn_respond() when it is not known beforehand. */
#define BICORN_LENGTH_UNKNOWN (-INT64_C(1))

/* What the client asked.  Constant while handle() runs. */
struct bicorn_request {
	size_t size;
	struct bicorn_str method;   /* "GET"; case matters */
	struct bicorn_str target;   /* as received: "/a%20b?c=d" */
	struct bicorn_str path;     /* percent-decoded, "/a b"; may hold any
				       byte; "*" for OPTIONS of the server */
	struct bicorn_str raw_path; /* not decoded: "/a%20b" */
	struct bicorn_str query;    /* behind the '?', raw; "" when none */
	struct bicorn_str protocol; /* "HTTP/1.1" or "HTTP/1.0" */
	struct bicorn_str scheme;   /* "http" or "https", also when a trusted
				       proxy says so */
	struct bicorn_str host;     /* "example.org:8000", from the target or
				       the Host field; "" when none */
	const struct bicorn_header *headers; /* in the order received;
				       names the server does not trust (with
				       '_') are left out */
	size_t header_count;
	int64_t content_length;     /* of the body, -1 while not known */
	struct bicorn_str peer_address; /* "192.0.2.1"; "" on unix sockets */
	unsigned peer_port;
	struct bicorn_str local_address; /* the listener's; path if unix */
	unsigned local_port;        /* 0 on unix sockets */
	int local_unix;             /* 1 when the listener is a unix socket */
	int tls;                    /* 1 when the connection is TLS */
	struct bicorn_str id;       /* 1.1: with the setting request_id, as in
				       the logs; "" without */
};

struct bicorn_server;

/*
 * One request and its response.  The server's own part lies behind.
 */
struct bicorn_exchange {
	size_t size;
	const struct bicorn_server *server;
	const struct bicorn_request *request;
	void *app;    /* what load() left in bicorn_load.app */
	void *thread; /* what thread_start() left in *thread_out */
	uint64_t number; /* counts the exchanges of the thread */
};

/* Handed to bicorn_app.load(). */
struct bicorn_load {
	size_t size;
	const struct bicorn_server *server; /* valid until unload() returns */
	const char *target; /* what APP says behind the host's name, or "" */
	unsigned threads;   /* how many threads will call handle() */
	void *app;          /* out: passed to every later call */
	char *error;        /* out: why it failed, one line, terminated */
	size_t error_size;

	/* Since 1.1. */
	uint32_t flags;     /* BICORN_LOAD_... */
	unsigned number;    /* of the worker, counted over all of them */
	int arbiter;        /* process id of the arbiter */
	uint32_t traits;    /* out: those that are known only now, besides
			       bicorn_app.traits: BICORN_TRAIT_... */
};

#define BICORN_LOAD_CHECK 1u   /* only to see whether it works */
#define BICORN_LOAD_PRELOAD 2u /* workers will be forked from this process */

/* What load() returns. */
enum bicorn_load_result {
	BICORN_LOADED = 0,
	BICORN_LOAD_FAILED = 3,   /* the application failed to start */
	BICORN_LOAD_NOT_FOUND = 4 /* there is no such application */
};

/*
 * Moments in the life of the server, gunicorn's hooks (since 1.1).  An
 * application hears of those whose bits are in bicorn_app.events.
 *
 * The arbiter runs no code of applications: its moments are heard by a
 * helper process, which has opened the module but not called load(), so app
 * is what helper() left there, or NULL.  They come one after another, each
 * soon after it happened; only ON_STARTING is waited for before the start
 * goes on, ON_EXIT and PRE_EXEC before the end, for some seconds.  The
 * helper leaves behind the last of them, or with a new one of a reload.
 */
enum bicorn_moment {
	/* In the worker, on the thread of load(). */
	BICORN_POST_FORK,        /* before load(), app is NULL; not 0: the
				    worker fails to boot */
	BICORN_POST_WORKER_INIT, /* all is loaded; not 0: as above */
	BICORN_WORKER_INT,       /* INT or QUIT: it leaves at once */
	BICORN_WORKER_EXIT,      /* it leaves; before unload() */

	/* In the worker, on a thread of the server's own. */
	BICORN_WORKER_ABORT,     /* the arbiter takes it for dead: ends when
				    this returns */

	/* In the worker, around handle(), on its thread. */
	BICORN_PRE_REQUEST,      /* not 0: answered with 500, not handle() */
	BICORN_POST_REQUEST,     /* the response is made; see status */

	/* In the helper process. */
	BICORN_ON_STARTING,      /* before the sockets are opened; not 0: the
				    start fails */
	BICORN_WHEN_READY,       /* all workers are, for the first time */
	BICORN_ON_RELOAD,        /* new settings were read */
	BICORN_PRE_FORK,         /* a worker is about to be forked */
	BICORN_CHILD_EXIT,       /* a worker has ended */
	BICORN_NWORKERS_CHANGED, /* another number of workers is wanted */
	BICORN_PRE_EXEC,         /* a new executable is about to be started */
	BICORN_ON_EXIT,          /* the arbiter is about to leave */
	BICORN_FORKED,           /* a worker was forked, see worker */

	/* In the worker, on a thread of the server's own; must not wait. */
	BICORN_REOPEN            /* USR1: log files are opened again */
};

/* The bit of a moment in bicorn_app.events. */
#define BICORN_MOMENT(moment) ((uint32_t)1 << (moment))

/* Handed to bicorn_app.event(); valid until it returns. */
struct bicorn_event {
	size_t size;
	const struct bicorn_server *server;
	enum bicorn_moment moment;
	int arbiter;           /* process id of the arbiter */
	int worker;            /* ... of the worker, 0: none yet */
	unsigned number;       /* of the worker, counted over all of them */
	int status;            /* CHILD_EXIT: as of waitpid(2); POST_REQUEST:
				  that of the response, 0: none was made */
	unsigned workers;      /* how many are wanted */
	unsigned workers_before; /* NWORKERS_CHANGED */
	struct bicorn_exchange *exchange; /* PRE_REQUEST, POST_REQUEST: only
				  request, app and thread are for use */
};

/* A value that a settings file has given. */
enum bicorn_value {
	BICORN_VALUE_NONE,
	BICORN_VALUE_TRUTH,    /* "true" or "false" */
	BICORN_VALUE_NUMBER,
	BICORN_VALUE_TEXT,
	BICORN_VALUE_LIST,
	BICORN_VALUE_HOOK,     /* a function: "own", or "imported" */
	BICORN_VALUE_VARIABLE, /* of the environment: "NAME=VALUE", or "NAME"
				  that was removed */
	BICORN_VALUE_OTHER,    /* its type */
	BICORN_VALUE_SOURCE    /* the file that the lines are of */
};

/* Handed to bicorn_app.settings(). */
struct bicorn_settings {
	size_t size;
	const struct bicorn_server *server;
	const char *name;  /* path, "python:MODULE" or "paste=FILE.ini#NAME" */
	char *error;       /* out: why it failed, one line, terminated */
	size_t error_size;

	/* To be called for each value; line is 0 when unknown. */
	void (*take)(struct bicorn_settings *s, const char *name,
	    unsigned line, enum bicorn_value kind, const char *const *texts,
	    size_t count);
};

/* What an application exports.  Only handle is required. */
struct bicorn_app {
	size_t size;
	uint16_t abi_major;
	uint16_t abi_minor;

	/*
	 * Answers one exchange.  Runs on a pool thread; may block.  When it
	 * returns without having responded, the client gets a 500; what was
	 * written and not finished is finished.
	 */
	void (*handle)(struct bicorn_exchange *x);

	/*
	 * Called once per worker process, after the fork, on its first thread,
	 * before any other call.  With preload_app it is called in a template
	 * process instead, of which the workers are copies: they have its
	 * memory and descriptors, but no thread that it started.  Returns enum
	 * bicorn_load_result.
	 */
	int (*load)(struct bicorn_load *l);

	/* Called last, when no thread is left, on the thread of load(). */
	void (*unload)(void *app);

	/*
	 * Called on each pool thread before and after its exchanges.  A start
	 * that does not return 0 makes the worker fail to boot.
	 */
	int (*thread_start)(void *app, unsigned number, void **thread_out);
	void (*thread_stop)(void *app, void *thread);

	/*
	 * The exchange of that number has run for longer than request_timeout
	 * on that pool thread: makes its handle() come to an end soon, unless
	 * it has ended already.  Called on a thread of the server's own; may
	 * wait.  Without it, or when it does not help within
	 * interrupt_timeout, the worker is replaced.
	 */
	void (*interrupt)(void *app, void *thread, uint64_t number);

	/*
	 * Writes where that thread is at present, in the application's terms,
	 * to fd.  Called on the thread of interrupt(), also when interrupt()
	 * would have to wait, so it must not.  Returns 0, or -1 when it cannot
	 * say; the server then writes the addresses on the thread's stack.
	 */
	int (*dump)(void *app, void *thread, int fd);

	/* --- since 1.1 --- */

	/* Which moments event() is called for: bits, BICORN_MOMENT(). */
	uint32_t events;

	/* Hears of a moment.  Returns 0; what else means is said there. */
	int (*event)(void *app, const struct bicorn_event *e);

	/*
	 * Prepares for the moments of the helper process, in place of load();
	 * target is the settings file.  Returns enum bicorn_load_result.
	 */
	int (*helper)(struct bicorn_load *l);

	/*
	 * Reads a settings file, in a process of its own and in place of
	 * load().  Returns 0, or -1 and the error.
	 */
	int (*settings)(struct bicorn_settings *s);

	/*
	 * With --reload: calls add() for each file that the application is
	 * made of.  Asked about once a second, on a thread of the server's.
	 */
	void (*files)(void *app, void (*add)(void *arg, const char *path),
	    void *arg);

	/*
	 * With preload_app, around the fork of each worker, on the thread of
	 * load(): in the template before and after it, and in the worker,
	 * before any other call.
	 */
	void (*fork_prepare)(void *app);
	void (*fork_parent)(void *app);
	void (*fork_child)(void *app);

	/* What the server may know of the application: BICORN_TRAIT_... */
	uint32_t traits;

	/*
	 * Called on a pool thread before it waits for an exchange, or stops,
	 * and before it waits until a client takes more of a response, also
	 * within handle(), in a function that sends, or, outside of handle(),
	 * until somebody reads a log.  From the end of handle() to there, or
	 * to the next handle(), it does not wait: what an application needs
	 * for each exchange may be kept till then, as a lock that others want.
	 */
	void (*thread_idle)(void *app, void *thread);
};

/*
 * One thread at a time runs the application's code, as under an interpreter's
 * lock: while requests are short, more threads only get into its way.
 */
#define BICORN_TRAIT_SERIAL 1u

/* A socket that the server listens on.  Since 1.1. */
struct bicorn_listener {
	size_t size;
	struct bicorn_str name;     /* "http://[::1]:8000", "unix:/run/x" */
	struct bicorn_str bind;     /* as the setting says it */
	struct bicorn_str address;  /* "::1"; the path of a unix socket */
	unsigned port;              /* 0 of a unix socket */
	int is_unix;                /* 1 for a unix socket */
	int tls;                    /* 1 where TLS is spoken */
};

/*
 * The server's functions.  Use the inline helpers below, which say what
 * each does.
 */
struct bicorn_server {
	size_t size;
	uint16_t abi_major;
	uint16_t abi_minor;
	const char *software; /* "bicorn/0.1.0" */

	const char *(*setting)(const struct bicorn_server *server,
	    const char *name);
	void (*log)(const struct bicorn_server *server, int level,
	    const char *text, size_t len);

	int64_t (*read)(struct bicorn_exchange *x, void *buf, size_t len);
	int (*body)(struct bicorn_exchange *x, struct bicorn_str *out);
	int (*respond)(struct bicorn_exchange *x, unsigned status,
	    struct bicorn_str reason, const struct bicorn_header *headers,
	    size_t count, int64_t length);
	int (*write)(struct bicorn_exchange *x, const void *data, size_t len);
	int (*writev)(struct bicorn_exchange *x, const struct bicorn_str *parts,
	    size_t count);
	int (*send_file)(struct bicorn_exchange *x, int fd, int64_t offset,
	    int64_t len);
	int (*flush)(struct bicorn_exchange *x);
	int (*trailers)(struct bicorn_exchange *x,
	    const struct bicorn_header *headers, size_t count);
	int (*finish)(struct bicorn_exchange *x);
	void (*abort)(struct bicorn_exchange *x);
	int (*inform)(struct bicorn_exchange *x, unsigned status,
	    const struct bicorn_header *headers, size_t count);
	int (*gone)(struct bicorn_exchange *x);
	int (*take_over)(struct bicorn_exchange *x, unsigned status,
	    const struct bicorn_header *headers, size_t count, int *fd_out);
	int64_t (*raw_read)(struct bicorn_exchange *x, void *buf, size_t len,
	    int64_t timeout_ms);
	int (*raw_write)(struct bicorn_exchange *x, const void *data,
	    size_t len);
	size_t (*request_trailers)(struct bicorn_exchange *x,
	    const struct bicorn_header **out);

	/* 1.1 */
	struct bicorn_str (*tls)(struct bicorn_exchange *x, const char *name);
	int (*error)(struct bicorn_exchange *x, unsigned status,
	    const struct bicorn_header *headers, size_t count);
	int (*note)(struct bicorn_exchange *x, struct bicorn_str name,
	    struct bicorn_str value);
	size_t (*notes)(const struct bicorn_server *server,
	    const struct bicorn_str **out);
	size_t (*variables)(struct bicorn_exchange *x,
	    const struct bicorn_header **out);
	void (*waited)(struct bicorn_exchange *x, int64_t us);
	int (*listener)(const struct bicorn_server *server, size_t number,
	    struct bicorn_listener *out);
	unsigned (*status)(struct bicorn_exchange *x);
	size_t (*access_line)(struct bicorn_exchange *x, char *buf,
	    size_t size);
};

/* Defines the exported struct: BICORN_APP(.handle = f, .load = g) */
#if defined(__GNUC__)
#define BICORN_EXPORT __attribute__((visibility("default")))
#define BICORN_FORMAT __attribute__((format(printf, 3, 4)))
#else
#define BICORN_EXPORT
#define BICORN_FORMAT
#endif
#ifdef __cplusplus
#define BICORN_LINKAGE extern "C"
#else
#define BICORN_LINKAGE extern
#endif
/* Members left out are NULL; C++ compilers would warn of them. */
#if defined(__cplusplus) && defined(__GNUC__)
#define BICORN_QUIET \
	_Pragma("GCC diagnostic push") _Pragma( \
	    "GCC diagnostic ignored \"-Wmissing-field-initializers\"")
#define BICORN_LOUD _Pragma("GCC diagnostic pop")
#else
#define BICORN_QUIET
#define BICORN_LOUD
#endif
#define BICORN_APP(...) BICORN_APP_AS(bicorn_app, __VA_ARGS__)
#define BICORN_APP_AS(name, ...) \
	BICORN_QUIET \
	BICORN_LINKAGE BICORN_EXPORT const struct bicorn_app name; \
	const struct bicorn_app name = { \
		.size = sizeof(struct bicorn_app), \
		.abi_major = BICORN_ABI_MAJOR, \
		.abi_minor = BICORN_ABI_MINOR, \
		__VA_ARGS__ \
	}; \
	BICORN_LOUD

/* --- bytes --------------------------------------------------------------- */

static inline struct bicorn_str
bicorn_str(const char *text)
{
	struct bicorn_str s;

	s.ptr = text;
	s.len = text != NULL ? strlen(text) : 0;
	return s;
}

/* 1 when equal, byte for byte. */
static inline int
bicorn_str_eq(struct bicorn_str s, const char *text)
{
	return s.len == strlen(text) &&
	    (s.len == 0 || memcmp(s.ptr, text, s.len) == 0);
}

/* 1 when equal but for the case of ASCII letters, as field names are. */
static inline int
bicorn_str_ieq(struct bicorn_str s, const char *text)
{
	size_t i;

	for (i = 0; i < s.len && text[i] != '\0'; i++) {
		unsigned char a = (unsigned char)s.ptr[i];
		unsigned char b = (unsigned char)text[i];

		a = (unsigned char)(a - (unsigned)'A' < 26u ? a | 0x20 : a);
		b = (unsigned char)(b - (unsigned)'A' < 26u ? b | 0x20 : b);
		if (a != b)
			return 0;
	}
	return i == s.len && text[i] == '\0';
}

/* A header field of two terminated texts, which it borrows. */
static inline struct bicorn_header
bicorn_field(const char *name, const char *value)
{
	struct bicorn_header h;

	h.name = bicorn_str(name);
	h.value = bicorn_str(value);
	return h;
}

/* --- the request --------------------------------------------------------- */

/*
 * The value of the first field of that name, in any case; ptr is NULL when
 * there is none.
 */
static inline struct bicorn_str
bicorn_header(const struct bicorn_exchange *x, const char *name)
{
	const struct bicorn_request *r = x->request;
	size_t i;

	for (i = 0; i < r->header_count; i++)
		if (bicorn_str_ieq(r->headers[i].name, name))
			return r->headers[i].value;
	return bicorn_str(NULL);
}

/*
 * Reads the next bytes of the body, 0 at its end.  The body was received
 * before handle() was called, so this waits for the disk at most; with the
 * setting stream_body it waits for the client, up to body_timeout.
 * BICORN_IO: a spooled body cannot be read; BICORN_GONE, BICORN_TIMEOUT: the
 * rest of a streamed one will not come; who does not respond then leaves it to
 * the server to say why (400, 408, 413).
 */
static inline int64_t
bicorn_read(struct bicorn_exchange *x, void *buf, size_t len)
{
	return x->server->read(x, buf, len);
}

/*
 * The whole body at once, wherever bicorn_read() stands.  A body that was
 * spooled to a file is mapped, not copied.  With stream_body it waits as
 * bicorn_read() does, and is BICORN_STATE after that.
 */
static inline int
bicorn_body(struct bicorn_exchange *x, struct bicorn_str *out)
{
	return x->server->body(x, out);
}

/* The trailer fields of a chunked request body; returns how many. */
static inline size_t
bicorn_request_trailers(struct bicorn_exchange *x,
    const struct bicorn_header **out)
{
	return x->server->request_trailers(x, out);
}

/*
 * What is known about a TLS connection, by the names of other servers:
 *
 *	SSL_PROTOCOL       "TLSv1.3"
 *	SSL_CIPHER         "TLS_AES_128_GCM_SHA256", as OpenSSL says it
 *	SSL_SERVER_NAME    the name that the client asked for (SNI)
 *	SSL_CLIENT_VERIFY  "NONE", or "SUCCESS": it has a good certificate
 *	SSL_CLIENT_S_DN    the subject of that, "CN=joe,O=Example" (RFC 4514)
 *	SSL_CLIENT_I_DN    its issuer
 *	SSL_CLIENT_SERIAL  its number, "0A1B"
 *	SSL_CLIENT_CERT    itself, PEM
 *
 * ptr is NULL when there is nothing to say, as on a plain connection.  Found
 * out when first asked, once per connection.  Since 1.1.
 */
static inline struct bicorn_str
bicorn_tls(struct bicorn_exchange *x, const char *name)
{
	return x->server->tls(x, name);
}

/*
 * Variables of the request that are neither fields nor members of struct
 * bicorn_request: what a PROXY header said (PROXY_ADDR, PROXY_AUTHORITY,
 * PROXY_SSL_CN, ...), and those of a uwsgi request (SCRIPT_NAME, HTTPS,
 * DOCUMENT_ROOT, REMOTE_USER, ...).  Returns how many, 0 for most requests.
 * Valid until handle() returns.  Since 1.1.
 */
static inline size_t
bicorn_variables(struct bicorn_exchange *x, const struct bicorn_header **out)
{
	return x->server->variables(x, out);
}

/*
 * Tells that the thread waited so long, in microseconds, for a lock that all
 * requests of a process need, as Python's: it is shown with the metrics, and
 * in the log of slow requests.  Since 1.1.
 */
static inline void
bicorn_waited(struct bicorn_exchange *x, int64_t us)
{
	x->server->waited(x, us);
}

/* 1 when the client has closed the connection.  Costs no system call. */
static inline int
bicorn_gone(struct bicorn_exchange *x)
{
	return x->server->gone(x);
}

/* --- the response -------------------------------------------------------- */

/*
 * Starts the response.  status is 200..999; reason NULL stands for the
 * usual one.  The server adds Date, Server, Connection and the framing
 * (Content-Length or chunked); fields of these names and hop-by-hop fields
 * in headers are left out.  length is that of the whole body when known; it
 * counts more than a Content-Length in headers, which counts more than
 * BICORN_LENGTH_UNKNOWN.  Nothing is sent before the first write.
 *
 * BICORN_INVALID: a name or value holds what HTTP forbids (CR, LF, NUL, ...)
 * and the response is not started.  BICORN_STATE: it was already started
 * and its head is on its way; before that, a second call replaces the first.
 */
static inline int
bicorn_respond(struct bicorn_exchange *x, unsigned status,
    const struct bicorn_header *headers, size_t count, int64_t length)
{
	return x->server->respond(x, status, bicorn_str(NULL), headers, count,
	    length);
}

/* As bicorn_respond(), with a reason phrase of one's own. */
static inline int
bicorn_respond_reason(struct bicorn_exchange *x, unsigned status,
    struct bicorn_str reason, const struct bicorn_header *headers,
    size_t count, int64_t length)
{
	return x->server->respond(x, status, reason, headers, count, length);
}

/*
 * Adds to the body.  The bytes are sent or copied before it returns.  Small
 * writes are gathered until bicorn_flush(), or until the body is complete.
 * Bytes beyond the stated length are cut.  To HEAD, 204 and 304 no body is
 * sent.  Waits only when the client is slower than the application and
 * response_buffer is full; BICORN_GONE after send_timeout.
 */
static inline int
bicorn_write(struct bicorn_exchange *x, const void *data, size_t len)
{
	return x->server->write(x, data, len);
}

/* Several writes as one (one chunk, where the body is chunked). */
static inline int
bicorn_writev(struct bicorn_exchange *x, const struct bicorn_str *parts,
    size_t count)
{
	return x->server->writev(x, parts, count);
}

/*
 * Adds len bytes of a file from offset on; len -1: to its end, of a regular
 * file.  fd stays the caller's, who may close it at once; its file offset does
 * not move.  BICORN_IO: it cannot be read, or is shorter; if its part of the
 * response was begun, that ends there, as by bicorn_abort().
 */
static inline int
bicorn_send_file(struct bicorn_exchange *x, int fd, int64_t offset,
    int64_t len)
{
	return x->server->send_file(x, fd, offset, len);
}

/* Sends what was gathered: each piece of a stream to the client now. */
static inline int
bicorn_flush(struct bicorn_exchange *x)
{
	return x->server->flush(x);
}

/*
 * Sets trailer fields, sent behind a chunked body; ignored where the body
 * is not chunked.  Before bicorn_finish(); the last call counts.
 */
static inline int
bicorn_trailers(struct bicorn_exchange *x, const struct bicorn_header *headers,
    size_t count)
{
	return x->server->trailers(x, headers, count);
}

/*
 * Ends the response.  The return of handle() does it too; calling it lets
 * the client have its answer while the application tidies up.
 */
static inline int
bicorn_finish(struct bicorn_exchange *x)
{
	return x->server->finish(x);
}

/*
 * The response cannot be completed: the connection is closed so that the
 * client can tell, unless all of the stated length was written.  Before the
 * head was sent, the client gets a 500.
 */
static inline void
bicorn_abort(struct bicorn_exchange *x)
{
	x->server->abort(x);
}

/*
 * Sends an informational response now: 103 with Link fields (RFC 8297), or
 * 100.  Fields that bicorn_respond() leaves out are left out here, too.
 * Ignored for HTTP/1.0.  BICORN_STATE after bicorn_respond().
 */
static inline int
bicorn_inform(struct bicorn_exchange *x, unsigned status,
    const struct bicorn_header *headers, size_t count)
{
	return x->server->inform(x, status, headers, count);
}

/* A whole response in one call. */
static inline int
bicorn_reply(struct bicorn_exchange *x, unsigned status,
    const char *content_type, const void *body, size_t len)
{
	struct bicorn_header h;
	int rc;

	h.name.ptr = "Content-Type";
	h.name.len = sizeof("Content-Type") - 1;
	h.value = bicorn_str(content_type);
	if (len > PTRDIFF_MAX || (body == NULL && len > 0))
		return BICORN_INVALID;
	rc = bicorn_respond(x, status, &h, content_type != NULL ? 1 : 0,
	    (int64_t)len);
	return rc == BICORN_OK ? bicorn_write(x, body, len) : rc;
}

/*
 * A whole response that says what went wrong: the server's own page for that
 * status (400 to 599), as HTML, JSON or text, as the client accepts, or the
 * operator's from error_pages.  headers are added, but for Content-Type, which
 * is the page's.  Since 1.1.
 */
static inline int
bicorn_error(struct bicorn_exchange *x, unsigned status,
    const struct bicorn_header *headers, size_t count)
{
	return x->server->error(x, status, headers, count);
}

/*
 * The status of the response: what it was started with, or what the server
 * has answered instead; 0 before there is one.  Since 1.1.
 */
static inline unsigned
bicorn_status(struct bicorn_exchange *x)
{
	return x->server->status(x);
}

/*
 * Says what {name}e in the format of the access log stands for in the line
 * of this request; the last one counts.  Copied; BICORN_NO_MEMORY for more
 * than 64 KiB of them.  Since 1.1.
 */
static inline int
bicorn_note(struct bicorn_exchange *x, const char *name,
    struct bicorn_str value)
{
	return x->server->note(x, bicorn_str(name), value);
}

/*
 * The names in {name}e that the access log asks for; returns how many.  Any
 * thread; valid until unload().  Since 1.1.
 */
static inline size_t
bicorn_notes(const struct bicorn_server *server, const struct bicorn_str **out)
{
	return server->notes(server, out);
}

/*
 * Copies what access_log_format makes of this request as it is now, best
 * after bicorn_finish(), without an end of line and not terminated, and
 * returns its length.  The server then logs no line for it: that is left to
 * the application, which may do it by BICORN_LOG_ACCESS.  size of
 * BICORN_ACCESS_LINE_MAX is enough; 0 when nobody wants an access log.  Since
 * 1.1.
 */
static inline size_t
bicorn_access_line(struct bicorn_exchange *x, char *buf, size_t size)
{
	return x->server->access_line(x, buf, size);
}

/* --- taking the connection over (RFC 9110, 7.8) --------------------------- */

/*
 * Answers with status (101 for an upgrade, 200 for CONNECT) and headers, as
 * bicorn_respond(), but Connection and Upgrade are sent as they are, and from
 * then on the bytes of the connection are the application's until handle()
 * returns, which closes it.  *fd_out is the socket, for poll() only: read and
 * write with the calls below, which know TLS and what was already received.
 * fd_out may be NULL.
 *
 * With status 0 nothing is sent: the application answers by *fd_out itself,
 * and may read, write, duplicate and make it blocking until handle() returns,
 * which shuts it down.  BICORN_INVALID where that cannot be: under TLS, in
 * the uwsgi protocol, or when bytes behind the request were received.  Since
 * 1.1.
 */
static inline int
bicorn_take_over(struct bicorn_exchange *x, unsigned status,
    const struct bicorn_header *headers, size_t count, int *fd_out)
{
	return x->server->take_over(x, status, headers, count, fd_out);
}

/*
 * Reads what is there, waiting up to timeout_ms (-1: for ever) for the
 * first byte.  0: the client ended the connection; BICORN_GONE: it broke;
 * BICORN_TIMEOUT: nothing came in time; BICORN_STATE: it was not taken over.
 */
static inline int64_t
bicorn_raw_read(struct bicorn_exchange *x, void *buf, size_t len,
    int64_t timeout_ms)
{
	return x->server->raw_read(x, buf, len, timeout_ms);
}

/* Writes all of it, waiting as long as send_timeout for each progress. */
static inline int
bicorn_raw_write(struct bicorn_exchange *x, const void *data, size_t len)
{
	return x->server->raw_write(x, data, len);
}

/* --- the server ----------------------------------------------------------- */

/*
 * The value of a setting of bicorn.conf(5) as text, lists joined with ',';
 * NULL when there is no such setting or it has no value.  Any thread; valid
 * until unload().
 */
static inline const char *
bicorn_setting(const struct bicorn_server *server, const char *name)
{
	return server->setting(server, name);
}

/*
 * A socket that the server listens on, by its number from 0; BICORN_INVALID
 * when there are no more.  In the helper they are known after
 * BICORN_ON_STARTING.  Any thread; valid until unload().  Since 1.1.
 */
static inline int
bicorn_listener_at(const struct bicorn_server *server, size_t number,
    struct bicorn_listener *out)
{
	out->size = sizeof(*out);
	return server->listener(server, number, out);
}

/*
 * Writes one entry to the error log.  Lines stay lines; other control bytes
 * are shown as \xNN.  Any thread.
 */
static inline void
bicorn_log(const struct bicorn_server *server, int level, const char *text)
{
	server->log(server, level, text, strlen(text));
}

/* As bicorn_log(), with a format of printf(3).  Cut after 1023 bytes. */
BICORN_FORMAT static inline void
bicorn_logf(const struct bicorn_server *server, int level, const char *format,
    ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	if (vsnprintf(text, sizeof(text), format, ap) >= 0)
		bicorn_log(server, level, text);
	va_end(ap);
}

#ifdef __cplusplus
}
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
#endif

#endif

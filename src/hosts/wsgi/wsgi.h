/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_WSGI_H
#define BICORN_HOSTS_WSGI_WSGI_H

/*
 * The WSGI host: an application of bicorn that runs Python's (PEP 3333).
 * It is a shared module, built once for each minor version of CPython.
 *
 * This header holds what its files share.  Everything that is not said to
 * be constant is touched with the interpreter lock held, unless a comment
 * says otherwise; struct wsgi_thread belongs to its pool thread besides.  Of
 * a Python without that lock see free.h.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <bicorn/app.h>

#define WSGI_TEXT_(x) #x
#define WSGI_TEXT(x) WSGI_TEXT_(x)

/* "3.11": of the Python that this module is built for. */
#define WSGI_PYTHON_VERSION \
	WSGI_TEXT(PY_MAJOR_VERSION) "." WSGI_TEXT(PY_MINOR_VERSION)

/* ... in names of files: that of one without the lock ends in "t". */
#ifdef Py_GIL_DISABLED
#define WSGI_PYTHON_NAME "python" WSGI_PYTHON_VERSION "t"
#else
#define WSGI_PYTHON_NAME "python" WSGI_PYTHON_VERSION
#endif

struct wsgi_call;
struct wsgi_names;

/* The keys of environ that every request has, texts of the request first. */
#define WSGI_KEYS(KEY)                                  \
	KEY(REQUEST_METHOD, "REQUEST_METHOD")           \
	KEY(QUERY_STRING, "QUERY_STRING")               \
	KEY(RAW_URI, "RAW_URI")                         \
	KEY(REQUEST_URI, "REQUEST_URI")                 \
	KEY(SERVER_PROTOCOL, "SERVER_PROTOCOL")         \
	KEY(SCRIPT_NAME, "SCRIPT_NAME")                 \
	KEY(PATH_INFO, "PATH_INFO")                     \
	KEY(SERVER_NAME, "SERVER_NAME")                 \
	KEY(SERVER_PORT, "SERVER_PORT")                 \
	KEY(REMOTE_ADDR, "REMOTE_ADDR")                 \
	KEY(REMOTE_PORT, "REMOTE_PORT")                 \
	KEY(URL_SCHEME, "wsgi.url_scheme")              \
	KEY(INPUT, "wsgi.input")                        \
	KEY(ERRORS, "wsgi.errors")                      \
	KEY(EARLY_HINTS, "wsgi.early_hints")            \
	KEY(CLIENT_GONE, "bicorn.client_gone")          \
	KEY(VERSION, "wsgi.version")                    \
	KEY(MULTITHREAD, "wsgi.multithread")            \
	KEY(MULTIPROCESS, "wsgi.multiprocess")          \
	KEY(RUN_ONCE, "wsgi.run_once")                  \
	KEY(FILE_WRAPPER, "wsgi.file_wrapper")          \
	KEY(INPUT_TERMINATED, "wsgi.input_terminated")  \
	KEY(SERVER_SOFTWARE, "SERVER_SOFTWARE")         \
	KEY(SOCKET, "gunicorn.socket")                  \
	KEY(CONTENT_TYPE, "CONTENT_TYPE")               \
	KEY(CONTENT_LENGTH, "CONTENT_LENGTH")           \
	KEY(SSL_PROTOCOL, "SSL_PROTOCOL")               \
	KEY(SSL_CIPHER, "SSL_CIPHER")                   \
	KEY(SSL_SERVER_NAME, "SSL_SERVER_NAME")         \
	KEY(SSL_CLIENT_VERIFY, "SSL_CLIENT_VERIFY")     \
	KEY(SSL_CLIENT_S_DN, "SSL_CLIENT_S_DN")         \
	KEY(SSL_CLIENT_I_DN, "SSL_CLIENT_I_DN")         \
	KEY(SSL_CLIENT_SERIAL, "SSL_CLIENT_SERIAL")     \
	KEY(SSL_CLIENT_CERT, "SSL_CLIENT_CERT")         \
	KEY(REQUEST_ID, "bicorn.request_id")

enum wsgi_key {
#define KEY(name, text) KEY_##name,
	WSGI_KEYS(KEY)
#undef KEY
	KEY_COUNT,
	TEXT_COUNT = KEY_URL_SCHEME + 1,
	TLS_FIRST = KEY_SSL_PROTOCOL
};

/* What load() makes, one in a process. */
struct wsgi {
	pthread_mutex_t gate; /* held while waiting for Python's; handle.c */

	/* Constant after load(). */
	const struct bicorn_server *server;
	PyThreadState *state; /* of the thread of load() */
	const char *target;   /* of l->target, for hooks that want it early */
	PyObject *application;
	PyObject *keys[KEY_COUNT];
	PyObject *names;      /* dict: environ keys of common fields */
	PyObject *environ;    /* dict: what is the same in every environ */
	PyObject *close;      /* "close" */
	PyObject *deadline_type; /* bicorn.RequestTimeout */
	int stacks[2];        /* a pipe for stacks, read and write end */
	PyTypeObject *call_type;
	PyTypeObject *input_type;
	PyTypeObject *errors_type;
	PyTypeObject *file_wrapper_type;
	PyTypeObject *socket_type;
	const struct bicorn_str *notes; /* what the access log asks for */
	size_t note_count;
	PyObject *loggers;    /* dict: what logconfig.c runs */
	PyObject *support;    /* support.py, where it is in use, or NULL */
	PyObject *hooks;      /* support.Hooks, or NULL: there are none */
	PyObject *spew;       /* the trace function of --spew, or NULL */
	PyObject *failure;    /* why the application did not load, or NULL */
	PyObject *page_files; /* list: what that was about, with --reload */
	bool request_hooks;   /* pre_request or post_request is there, or: */
	bool logs_access;     /* Python logs requests */
	bool logs_error;      /* ... and exceptions */
	struct bicorn_str script_name; /* SCRIPT_NAME of the process */
	struct bicorn_str root_path;   /* without a slash at its end */
	int64_t body_buffer;  /* bodies up to this are in memory */
	bool sendfile;
	bool forked;          /* workers were forked from this process */
	bool child;           /* this is a process that a view forked */

	/* Any thread. */
	atomic_bool reopen;   /* log files of Python's handlers were moved */
	atomic_bool told_of_tls; /* ... and WebSockets: environ.c */
};

/* Parts of a body on their way to the server, with their owners. */
#define WSGI_PARTS 16

struct wsgi_parts {
	struct bicorn_str span[WSGI_PARTS];
	PyObject *owner[WSGI_PARTS];
	size_t count;
	size_t bytes;
};

/* Field names of responses that were checked: most come again. */
#define WSGI_CHECKED 16 /* a power of two */

struct wsgi_checked {
	PyObject *name; /* str, by which it is known again, or NULL */
	struct bicorn_str text;
	bool is_length; /* Content-Length */
};

/* What start_response() was told, and how far the response is. */
struct wsgi_response {
	PyObject *status;   /* owns the text of reason */
	struct bicorn_str reason;
	unsigned code;
	struct bicorn_header *headers; /* kept for the next request */
	PyObject **pairs;   /* own the texts of headers; as many */
	size_t count;
	size_t capacity;
	int64_t length;     /* of the body, -1: unknown */
	int64_t sent;       /* body bytes handed over */
	bool started;       /* start_response() was called */
	bool head_sent;     /* the head was handed over */
	bool bodiless;      /* HEAD, 204, 304 */
	bool gone;          /* the client is */
	bool unread;        /* the rest of the body did not come */
	bool failed;        /* the application did */
	bool late;          /* ... because its deadline passed */
	bool pending;       /* the rest is in parts, to be sent at the end */
	bool taken;         /* the application has the socket instead */
	struct wsgi_parts parts;

	/* Kept for the next request. */
	struct wsgi_checked checked[WSGI_CHECKED];
	PyObject *last_status; /* one that was checked, or NULL */
	unsigned last_code;
};

/* What thread_start() makes, one for each pool thread. */
struct wsgi_thread {
	struct wsgi *wsgi;
	PyThreadState *state;
	PyGILState_STATE gil;
	pthread_t id;
	unsigned long ident; /* the same in Python's words */
	uint64_t running;    /* number + 1 of the exchange, 0: none */
	bool interrupted;    /* the exception of a deadline is on its way */
#ifdef Py_GIL_DISABLED
	PyMutex deadline;    /* guards the two */
#endif
	bool holds;          /* this thread has the interpreter lock ... */
	int64_t held_us;     /* ... since then, on the monotonic clock */
	bool served;         /* no Python runs till the next request */

	PyObject *environ;  /* copied for each request; see environ.c */
	PyObject *text[TEXT_COUNT]; /* what environ holds, borrowed */
	unsigned bulky;     /* bits of text[] too long to keep */
	unsigned server_port;
	unsigned remote_port;
	struct wsgi_names *names;

	/*
	 * Made once and used again, unless the application kept one.  Of each
	 * there is one reference, here or, where it is borrowed, in environ.
	 */
	struct wsgi_call *call;
	PyObject *start_response;
	PyObject *write;
	PyObject *early_hints; /* borrowed */
	PyObject *client_gone; /* borrowed */
	PyObject *input;       /* borrowed */
	PyObject *errors;
	bool lends_socket;     /* environ has one, that refers to the call */

	PyObject *hook_request; /* between the hooks of a request */
	PyObject *hook_environ;

	struct wsgi_response response;
};

/* A type that only the host makes instances of; NULL with an exception. */
PyTypeObject *wsgi_type_new(const PyType_Spec *spec);

#endif

/* SPDX-License-Identifier: MIT */

#include "deadline.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

/*
 * Stacks are shown without the interpreter lock, which may be what a thread
 * is stuck with: faulthandler's handler for a signal runs in the thread and
 * reads its own frames.  It writes to a pipe, from which they are copied.
 */
#define STACK_SIGNAL (SIGRTMIN + 6)
#define STACK_WAIT_MS 500
#define STACK_REST_MS 20

static int
open_pipe(struct wsgi *w)
{
	if (pipe2(w->stacks, O_CLOEXEC | O_NONBLOCK) == 0)
		return 0;
	w->stacks[0] = w->stacks[1] = -1;
	PyErr_SetFromErrno(PyExc_OSError);
	return -1;
}

/* faulthandler.register(STACK_SIGNAL, file=pipe, all_threads=False) */
static int
watch_signal(struct wsgi *w)
{
	PyObject *module = PyImport_ImportModule("faulthandler"), *done;

	if (module == NULL)
		return -1;
	done = PyObject_CallMethod(module, "register", "iiO", STACK_SIGNAL,
	    w->stacks[1], Py_False);
	Py_DECREF(module);
	Py_XDECREF(done);
	return done != NULL ? 0 : -1;
}

int
deadline_init(struct wsgi *w)
{
	w->stacks[0] = w->stacks[1] = -1;
	w->deadline_type = PyErr_NewExceptionWithDoc("bicorn.RequestTimeout",
	    "The request took longer than request_timeout allows.",
	    PyExc_BaseException, NULL);
	if (w->deadline_type == NULL || open_pipe(w) < 0)
		return -1;
	return watch_signal(w);
}

/*
 * Another pipe under the same descriptors: the handler keeps their numbers,
 * and the processes that came from the same template have the old one.
 */
int
deadline_forked(struct wsgi *w)
{
	int fds[2], rc = 0;

	if (w->stacks[0] < 0)
		return 0;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		if (dup3(fds[i], w->stacks[i], O_CLOEXEC) < 0)
			rc = -1;
		close(fds[i]);
	}
	return rc;
}

void
deadline_fini(struct wsgi *w)
{
	Py_CLEAR(w->deadline_type);
	/* The pipe stays: the handler may still write to it. */
}

/* The interpreter lock keeps the watchdog out, where there is one. */
static void
lock(struct wsgi_thread *t)
{
#ifdef Py_GIL_DISABLED
	PyMutex_Lock(&t->deadline);
#else
	(void)t;
#endif
}

static void
unlock(struct wsgi_thread *t)
{
#ifdef Py_GIL_DISABLED
	PyMutex_Unlock(&t->deadline);
#else
	(void)t;
#endif
}

void
deadline_begin(struct wsgi_thread *t, uint64_t number)
{
	lock(t);
	t->running = number + 1;
	unlock(t);
}

void
deadline_end(struct wsgi_thread *t)
{
	lock(t);
	t->running = 0;
	if (t->interrupted)
		PyThreadState_SetAsyncExc(t->ident, NULL);
	t->interrupted = false;
	unlock(t);
}

bool
deadline_passed(const struct wsgi *w)
{
	return PyErr_ExceptionMatches(w->deadline_type);
}

void
deadline_interrupt(void *app, void *thread, uint64_t number)
{
	struct wsgi *w = app;
	struct wsgi_thread *t = thread;
	PyGILState_STATE gil = PyGILState_Ensure();

	lock(t);
	/* Only the one that was meant, and only while it runs. */
	if (t->running == number + 1) {
		t->interrupted = true;
		PyThreadState_SetAsyncExc(t->ident, w->deadline_type);
	}
	unlock(t);
	PyGILState_Release(gil);
}

/* Copies what the handler writes; -1 when nothing came. */
static int
copy_stack(int from, int to)
{
	struct pollfd p = { .fd = from, .events = POLLIN };
	int wait = STACK_WAIT_MS, rc = -1;
	char text[4096];
	ssize_t n;

	while (poll(&p, 1, wait) > 0) {
		n = read(from, text, sizeof(text));
		if (n <= 0 || write(to, text, (size_t)n) != n)
			break;
		rc = 0;
		wait = STACK_REST_MS;
	}
	return rc;
}

int
deadline_dump(void *app, void *thread, int fd)
{
	struct wsgi *w = app;
	struct wsgi_thread *t = thread;

	if (w->stacks[0] < 0 || pthread_kill(t->id, STACK_SIGNAL) != 0)
		return -1;
	return copy_stack(w->stacks[0], fd);
}

/* SPDX-License-Identifier: MIT */

#include "socket.h"

#include <fcntl.h>
#include <unistd.h>

#include "call.h"
#include "fork.h"
#include "response.h"

struct lent_socket {
	PyObject_HEAD
	struct wsgi_call *call;
	PyObject *real; /* socket.socket, NULL until it is used */
};

/*
 * A copy of the descriptor, so that it may be closed twice.  It is made to
 * block, as gunicorn's: the server does not read or write by it any more.
 */
static PyObject *
socket_from(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	PyObject *module, *real = NULL, *done;

	if (copy < 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	module = PyImport_ImportModule("socket");
	if (module != NULL)
		real = PyObject_CallMethod(module, "socket", "iiii", -1, -1,
		    -1, copy);
	Py_XDECREF(module);
	if (real == NULL) {
		close(copy);
		return NULL;
	}
	done = PyObject_CallMethod(real, "setblocking", "i", 1);
	if (done == NULL)
		Py_CLEAR(real);
	Py_XDECREF(done);
	return real;
}

/* With the call entered.  A new reference, or NULL with an exception. */
static PyObject *
take(struct wsgi_call *call)
{
	struct wsgi_response *r = &call->thread->response;
	int rc, fd;

	if (call->thread->wsgi->child)
		fork_leave(call->thread->wsgi);
	Py_BEGIN_ALLOW_THREADS
	rc = bicorn_take_over(call->x, 0, NULL, 0, &fd);
	Py_END_ALLOW_THREADS
	if (rc == BICORN_INVALID) {
		PyErr_SetString(PyExc_OSError,
		    "the client did not wait for an answer to its Upgrade");
		return NULL;
	}
	if (rc < 0) {
		response_raise(rc);
		return NULL;
	}
	r->taken = true;
	r->code = 101;
	r->reason = bicorn_str("Switching Protocols");
	return socket_from(fd);
}

/* Borrowed: the socket stays until the object goes. */
static PyObject *
real_of(struct lent_socket *s)
{
	PyObject *real = __atomic_load_n(&s->real, __ATOMIC_ACQUIRE);

	if (real != NULL)
		return real;
	if (!call_enter(s->call))
		return NULL;
	real = s->real;
	if (real == NULL) {
		real = take(s->call);
		__atomic_store_n(&s->real, real, __ATOMIC_RELEASE);
	}
	call_leave(s->call);
	return real;
}

/* What Python itself asks of any object does not take the socket. */
static PyObject *
socket_getattr(PyObject *self, PyObject *name)
{
	PyObject *real;

	if (PyUnicode_Check(name) && PyUnicode_GET_LENGTH(name) > 1 &&
	    PyUnicode_READ_CHAR(name, 0) == '_' &&
	    PyUnicode_READ_CHAR(name, 1) == '_')
		return PyObject_GenericGetAttr(self, name);
	real = real_of((struct lent_socket *)self);
	return real != NULL ? PyObject_GetAttr(real, name) : NULL;
}

static void
socket_dealloc(PyObject *self)
{
	struct lent_socket *s = (struct lent_socket *)self;
	PyTypeObject *type = Py_TYPE(self);

	Py_XDECREF(s->real);
	Py_XDECREF((PyObject *)s->call);
	type->tp_free(self);
	Py_DECREF(type);
}

static const PyType_Slot socket_slots[] = {
	{ Py_tp_dealloc, (void *)socket_dealloc },
	{ Py_tp_getattro, (void *)socket_getattr },
	{ 0, NULL },
};

static const PyType_Spec socket_spec = {
	.name = "bicorn.Socket",
	.basicsize = sizeof(struct lent_socket),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = (PyType_Slot *)socket_slots,
};

PyTypeObject *
socket_type_new(void)
{
	return wsgi_type_new(&socket_spec);
}

PyObject *
socket_new(PyTypeObject *type, struct wsgi_call *call)
{
	struct lent_socket *s = (struct lent_socket *)type->tp_alloc(type, 0);

	if (s == NULL)
		return NULL;
	Py_INCREF((PyObject *)call);
	s->call = call;
	return (PyObject *)s;
}

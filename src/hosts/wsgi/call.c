/* SPDX-License-Identifier: MIT */

/*
 * The link between Python objects and the exchange they belong to.  The
 * lock is one of Python's: it is taken without waiting in all but odd
 * applications, and waited for without the interpreter lock.
 */

#include "call.h"

static void
lock_take(struct wsgi_call *c)
{
	if (PyThread_acquire_lock(c->lock, NOWAIT_LOCK) != PY_LOCK_ACQUIRED) {
		Py_BEGIN_ALLOW_THREADS
		PyThread_acquire_lock(c->lock, WAIT_LOCK);
		Py_END_ALLOW_THREADS
	}
	__atomic_store_n(&c->holder, PyThread_get_thread_ident(),
	    __ATOMIC_RELAXED);
}

static void
lock_drop(struct wsgi_call *c)
{
	__atomic_store_n(&c->holder, 0, __ATOMIC_RELAXED);
	PyThread_release_lock(c->lock);
}

bool
call_enter(struct wsgi_call *c)
{
	unsigned long holder = __atomic_load_n(&c->holder, __ATOMIC_RELAXED);

	/* A finaliser may run in the midst of a read on the same thread. */
	if (holder != 0 && holder == PyThread_get_thread_ident()) {
		PyErr_SetString(PyExc_RuntimeError,
		    "the request is in use by this thread");
		return false;
	}
	lock_take(c);
	if (c->x == NULL) {
		lock_drop(c);
		PyErr_SetString(PyExc_RuntimeError, "the request is over");
		return false;
	}
	return true;
}

void
call_leave(struct wsgi_call *c)
{
	lock_drop(c);
}

void
call_begin(struct wsgi_call *c, struct wsgi_thread *t,
    struct bicorn_exchange *x)
{
	c->thread = t;
	c->x = x;
}

void
call_end(struct wsgi_call *c)
{
	lock_take(c);
	c->x = NULL;
	c->thread = NULL;
	lock_drop(c);
}

static void
call_dealloc(PyObject *self)
{
	struct wsgi_call *c = (struct wsgi_call *)self;
	PyTypeObject *type = Py_TYPE(self);

	if (c->lock != NULL)
		PyThread_free_lock(c->lock);
	type->tp_free(self);
	Py_DECREF(type);
}

struct wsgi_call *
call_new(PyTypeObject *type)
{
	struct wsgi_call *c = (struct wsgi_call *)type->tp_alloc(type, 0);

	if (c == NULL)
		return NULL;
	c->lock = PyThread_allocate_lock();
	if (c->lock == NULL) {
		Py_DECREF(c);
		PyErr_NoMemory();
		return NULL;
	}
	return c;
}

static const PyType_Slot call_slots[] = {
	{ Py_tp_dealloc, (void *)call_dealloc },
	{ 0, NULL },
};

static const PyType_Spec call_spec = {
	.name = "bicorn.Request",
	.basicsize = sizeof(struct wsgi_call),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = (PyType_Slot *)call_slots,
};

PyTypeObject *
call_type_new(void)
{
	return wsgi_type_new(&call_spec);
}

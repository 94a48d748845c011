/* SPDX-License-Identifier: MIT */
#ifndef BICORN_HOSTS_WSGI_FREE_H
#define BICORN_HOSTS_WSGI_FREE_H

/*
 * Free-threaded Python (3.13t): no lock keeps threads apart.
 *
 * What belongs to a pool thread needs nothing more, nor does what is
 * constant.  What an application may share among threads of its own has a
 * lock: struct wsgi_call for what belongs to a request, critical sections,
 * which are those of the object itself, for the rest.  Elements of lists are
 * never borrowed.
 */

#include "wsgi.h"

/* Before 3.13 the interpreter lock is what these would be. */
#ifndef Py_BEGIN_CRITICAL_SECTION
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }
#endif

/*
 * An item of a list or tuple: a new reference, or NULL, without an
 * exception, behind the last one.
 */
static inline PyObject *
free_item(PyObject *seq, Py_ssize_t i)
{
	PyObject *item;

#ifdef Py_GIL_DISABLED
	if (PyList_Check(seq)) {
		item = PyList_GetItemRef(seq, i);
		if (item == NULL)
			PyErr_Clear();
		return item;
	}
#endif
	if (i >= PySequence_Fast_GET_SIZE(seq))
		return NULL;
	item = PySequence_Fast_GET_ITEM(seq, i);
	Py_INCREF(item);
	return item;
}

/*
 * Whether the calling thread, which made the object, has the only reference:
 * then no other can come by one.
 */
static inline bool
free_is_mine(PyObject *o)
{
#if PY_VERSION_HEX >= 0x030e0000
	return PyUnstable_Object_IsUniquelyReferenced(o);
#elif defined(Py_GIL_DISABLED)
	/* Other threads count by themselves: their sum has to be zero too. */
	return _Py_IsOwnedByCurrentThread(o) &&
	    _Py_atomic_load_uint32_relaxed(&o->ob_ref_local) == 1 &&
	    _Py_atomic_load_ssize_relaxed(&o->ob_ref_shared) == 0;
#else
	return Py_REFCNT(o) == 1;
#endif
}

#endif

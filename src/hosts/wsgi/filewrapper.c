/* SPDX-License-Identifier: MIT */

/*
 * wsgi.file_wrapper(filelike, blksize=8192).  An object of this class that
 * the application returns as it is goes out by send_file(); read as an
 * iterable it gives blocks.
 */

#include "filewrapper.h"

#include <structmember.h>
#include <sys/stat.h>
#include <unistd.h>

#include "free.h"

struct filewrapper {
	PyObject_HEAD
	PyObject *filelike;
	PyObject *blksize;
	PyObject *close; /* NULL: filelike has none */
};

/* Attribute or NULL, without an exception. */
static PyObject *
attr(PyObject *o, const char *name)
{
	PyObject *value = PyObject_GetAttrString(o, name);

	if (value == NULL)
		PyErr_Clear();
	return value;
}

/* What a member holds, which others may set meanwhile: a new reference. */
static PyObject *
hold(PyObject *self, PyObject *const *member)
{
	PyObject *value;

	(void)self; /* in Pythons with a lock */
	Py_BEGIN_CRITICAL_SECTION(self);
	value = *member;
	Py_XINCREF(value);
	Py_END_CRITICAL_SECTION();
	return value;
}

/* Takes the references. */
static void
set_members(struct filewrapper *f, PyObject *filelike, PyObject *blksize,
    PyObject *close)
{
	PyObject *old[] = { f->filelike, f->blksize, f->close };

	f->filelike = filelike;
	f->blksize = blksize;
	f->close = close;
	/* What goes may run code. */
	for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++)
		Py_XDECREF(old[i]);
}

static int
filewrapper_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
	static const char *const names[] = { "filelike", "blksize", NULL };
	PyObject *filelike, *blksize = NULL, *close;

	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:FileWrapper",
	    (char **)names, &filelike, &blksize))
		return -1;
	if (blksize == NULL) {
		blksize = PyLong_FromLong(8192);
		if (blksize == NULL)
			return -1;
	} else {
		Py_INCREF(blksize);
	}
	Py_INCREF(filelike);
	close = attr(filelike, "close");
	Py_BEGIN_CRITICAL_SECTION(self);
	set_members((struct filewrapper *)self, filelike, blksize, close);
	Py_END_CRITICAL_SECTION();
	return 0;
}

static PyObject *
filewrapper_next(PyObject *self)
{
	struct filewrapper *f = (struct filewrapper *)self;
	PyObject *filelike = hold(self, &f->filelike), *data = NULL;
	PyObject *blksize = hold(self, &f->blksize);
	int more;

	if (filelike == NULL || blksize == NULL)
		PyErr_SetString(PyExc_ValueError, "not initialised");
	else
		data = PyObject_CallMethod(filelike, "read", "O", blksize);
	Py_XDECREF(filelike);
	Py_XDECREF(blksize);
	if (data == NULL)
		return NULL;
	more = PyObject_IsTrue(data);
	if (more <= 0)
		Py_CLEAR(data);
	return data;
}

/* Old-style iteration, which some middleware still does. */
static PyObject *
filewrapper_item(PyObject *self, PyObject *key)
{
	PyObject *data = filewrapper_next(self);

	(void)key;
	if (data == NULL && !PyErr_Occurred())
		PyErr_SetNone(PyExc_IndexError);
	return data;
}

static PyObject *
io_class(const char *name)
{
	PyObject *io = PyImport_ImportModule("io"), *class = NULL;

	if (io != NULL)
		class = attr(io, name);
	else
		PyErr_Clear();
	Py_XDECREF(io);
	return class;
}

static bool
is_io(PyObject *o, const char *name)
{
	PyObject *class = io_class(name);
	int is = class != NULL ? PyObject_IsInstance(o, class) : 0;

	if (is < 0)
		PyErr_Clear();
	Py_XDECREF(class);
	return is > 0;
}

/*
 * Whether the descriptor's bytes are the object's.  A gzip file has a
 * descriptor too, but of the compressed bytes; so has one that decodes text.
 */
static bool
is_plain(PyObject *filelike)
{
	PyObject *raw;
	bool plain;

	if (is_io(filelike, "TextIOBase"))
		return false;
	if (!is_io(filelike, "BufferedIOBase"))
		return true;
	if (!is_io(filelike, "BufferedReader") &&
	    !is_io(filelike, "BufferedRandom"))
		return false;
	raw = attr(filelike, "raw");
	plain = raw != NULL && is_io(raw, "FileIO");
	Py_XDECREF(raw);
	return plain;
}

/* The result of a method that gives a number, or -1. */
static long long
call_number(PyObject *o, const char *method)
{
	PyObject *result = PyObject_CallMethod(o, method, NULL);
	long long n = -1;

	if (result != NULL && PyLong_Check(result))
		n = PyLong_AsLongLong(result);
	Py_XDECREF(result);
	PyErr_Clear();
	return n;
}

/* Where the bytes of filelike are, if they are those of a file. */
static bool
locate(PyObject *filelike, struct wsgi_file *out)
{
	PyObject *inner;
	long long fd, offset;
	struct stat st;
	bool plain;

	/* Temporary files and Django's are wrappers with the file inside. */
	inner = attr(filelike, "file");
	plain = is_plain(filelike) && (inner == NULL || is_plain(inner));
	Py_XDECREF(inner);
	if (!plain)
		return false;

	fd = call_number(filelike, "fileno");
	if (fd < 0 || fd > INT_MAX || fstat((int)fd, &st) != 0 ||
	    !S_ISREG(st.st_mode))
		return false;
	/* Empty, or one of those in /proc that say so and are not. */
	if (st.st_size == 0)
		return false;
	/* tell() knows of bytes that were read ahead into a buffer. */
	offset = call_number(filelike, "tell");
	if (offset < 0)
		offset = lseek((int)fd, 0, SEEK_CUR);
	if (offset < 0)
		return false;
	out->fd = (int)fd;
	out->offset = offset;
	out->rest = offset < st.st_size ? st.st_size - offset : 0;
	return true;
}

bool
filewrapper_file(PyObject *self, struct wsgi_file *out)
{
	struct filewrapper *f = (struct filewrapper *)self;
	PyObject *filelike = hold(self, &f->filelike);
	bool found = filelike != NULL && locate(filelike, out);

	Py_XDECREF(filelike);
	return found;
}

static int
filewrapper_traverse(PyObject *self, visitproc visit, void *arg)
{
	struct filewrapper *f = (struct filewrapper *)self;

	Py_VISIT(Py_TYPE(self));
	Py_VISIT(f->filelike);
	Py_VISIT(f->blksize);
	Py_VISIT(f->close);
	return 0;
}

static int
filewrapper_clear(PyObject *self)
{
	struct filewrapper *f = (struct filewrapper *)self;

	Py_CLEAR(f->filelike);
	Py_CLEAR(f->blksize);
	Py_CLEAR(f->close);
	return 0;
}

static void
filewrapper_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);

	PyObject_GC_UnTrack(self);
	filewrapper_clear(self);
	type->tp_free(self);
	Py_DECREF(type);
}

static const PyMemberDef filewrapper_members[] = {
	{ "filelike", T_OBJECT_EX, offsetof(struct filewrapper, filelike), 0,
	    NULL },
	{ "blksize", T_OBJECT_EX, offsetof(struct filewrapper, blksize), 0,
	    NULL },
	{ "close", T_OBJECT_EX, offsetof(struct filewrapper, close), 0,
	    NULL },
	{ NULL, 0, 0, 0, NULL },
};

static const PyType_Slot filewrapper_slots[] = {
	{ Py_tp_doc, (void *)"A file as the body of a response." },
	{ Py_tp_new, (void *)PyType_GenericNew },
	{ Py_tp_init, (void *)filewrapper_init },
	{ Py_tp_dealloc, (void *)filewrapper_dealloc },
	{ Py_tp_traverse, (void *)filewrapper_traverse },
	{ Py_tp_clear, (void *)filewrapper_clear },
	{ Py_tp_iter, (void *)PyObject_SelfIter },
	{ Py_tp_iternext, (void *)filewrapper_next },
	{ Py_tp_members, (void *)filewrapper_members },
	{ Py_mp_subscript, (void *)filewrapper_item },
	{ 0, NULL },
};

static const PyType_Spec filewrapper_spec = {
	.name = "bicorn.FileWrapper",
	.basicsize = sizeof(struct filewrapper),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE |
	    Py_TPFLAGS_HAVE_GC,
	.slots = (PyType_Slot *)filewrapper_slots,
};

PyTypeObject *
filewrapper_type_new(void)
{
	return (PyTypeObject *)PyType_FromSpec((PyType_Spec *)
	    &filewrapper_spec);
}

/* SPDX-License-Identifier: MIT */

/*
 * Expressions like create_app("production", debug=False), read by Python's
 * own parser; arguments are literals, nothing else is evaluated.  The plain
 * name, which is nearly always what is given, needs no parser.
 */

#include "factory.h"

/* A call, taken apart. */
struct call_parts {
	PyObject *name;
	PyObject *args;   /* tuple; NULL where the expression is a name */
	PyObject *kwargs; /* dict */
};

static bool
is_node(PyObject *ast, PyObject *node, const char *class_name)
{
	PyObject *class = PyObject_GetAttrString(ast, class_name);
	int is = class != NULL ? PyObject_IsInstance(node, class) : 0;

	Py_XDECREF(class);
	if (is < 0)
		PyErr_Clear();
	return is > 0;
}

/* The expression's node, or NULL with an exception. */
static PyObject *
parse(PyObject *ast, const char *expr)
{
	PyObject *tree = PyObject_CallMethod(ast, "parse", "sss", expr,
	    "<application>", "eval");
	PyObject *body;

	if (tree == NULL)
		return NULL;
	body = PyObject_GetAttrString(tree, "body");
	Py_DECREF(tree);
	return body;
}

static PyObject *
literal(PyObject *ast, PyObject *node)
{
	return PyObject_CallMethod(ast, "literal_eval", "O", node);
}

static int
take_args(PyObject *ast, PyObject *call, struct call_parts *p)
{
	PyObject *nodes = PyObject_GetAttrString(call, "args"), *value;
	Py_ssize_t i;

	if (nodes == NULL)
		return -1;
	p->args = PyTuple_New(PyList_GET_SIZE(nodes));
	for (i = 0; p->args != NULL && i < PyList_GET_SIZE(nodes); i++) {
		value = literal(ast, PyList_GET_ITEM(nodes, i));
		if (value == NULL)
			Py_CLEAR(p->args);
		else
			PyTuple_SET_ITEM(p->args, i, value);
	}
	Py_DECREF(nodes);
	return p->args != NULL ? 0 : -1;
}

/* One name=value; **mapping has no name. */
static int
take_keyword(PyObject *ast, PyObject *keyword, struct call_parts *p)
{
	PyObject *name = PyObject_GetAttrString(keyword, "arg");
	PyObject *node = PyObject_GetAttrString(keyword, "value");
	PyObject *value = NULL;
	int rc = -1;

	if (name != NULL && node != NULL && name != Py_None)
		value = literal(ast, node);
	if (value != NULL)
		rc = PyDict_SetItem(p->kwargs, name, value);
	Py_XDECREF(value);
	Py_XDECREF(node);
	Py_XDECREF(name);
	return rc;
}

static int
take_kwargs(PyObject *ast, PyObject *call, struct call_parts *p)
{
	PyObject *nodes = PyObject_GetAttrString(call, "keywords");
	Py_ssize_t i;
	int rc = -1;

	p->kwargs = PyDict_New();
	if (nodes != NULL && p->kwargs != NULL)
		rc = 0;
	for (i = 0; rc == 0 && i < PyList_GET_SIZE(nodes); i++)
		rc = take_keyword(ast, PyList_GET_ITEM(nodes, i), p);
	Py_XDECREF(nodes);
	return rc;
}

static enum factory_result
take_call(PyObject *ast, PyObject *call, struct call_parts *p)
{
	PyObject *func = PyObject_GetAttrString(call, "func");
	bool named = func != NULL && is_node(ast, func, "Name");

	if (named)
		p->name = PyObject_GetAttrString(func, "id");
	Py_XDECREF(func);
	if (p->name == NULL)
		return FACTORY_SYNTAX;
	if (take_args(ast, call, p) < 0 || take_kwargs(ast, call, p) < 0)
		return FACTORY_NOT_LITERAL;
	return FACTORY_FOUND;
}

static enum factory_result
take_apart(const char *expr, struct call_parts *p)
{
	PyObject *ast, *node;
	enum factory_result result = FACTORY_SYNTAX;

	p->name = PyUnicode_FromString(expr);
	if (p->name != NULL && PyUnicode_IsIdentifier(p->name))
		return FACTORY_FOUND;
	Py_CLEAR(p->name);
	ast = PyImport_ImportModule("ast");
	if (ast == NULL)
		return FACTORY_RAISED;
	node = parse(ast, expr);
	if (node != NULL && is_node(ast, node, "Call")) {
		result = take_call(ast, node, p);
	} else if (node != NULL && is_node(ast, node, "Name")) {
		p->name = PyObject_GetAttrString(node, "id");
		result = p->name != NULL ? FACTORY_FOUND : FACTORY_RAISED;
	}
	Py_XDECREF(node);
	Py_DECREF(ast);
	return result;
}

/*
 * Calls the factory.  A TypeError without a traceback was raised by the call
 * itself: the arguments do not fit its parameters.
 */
static enum factory_result
call_factory(PyObject *factory, const struct call_parts *p, PyObject **out)
{
	PyObject *type, *value, *tb;
	bool inside;

	*out = PyObject_Call(factory, p->args, p->kwargs);
	if (*out != NULL)
		return FACTORY_FOUND;
	PyErr_Fetch(&type, &value, &tb);
	inside = tb != NULL;
	PyErr_Restore(type, value, tb);
	return !inside && PyErr_ExceptionMatches(PyExc_TypeError) ?
	    FACTORY_ARGUMENTS : FACTORY_RAISED;
}

enum factory_result
factory_find(PyObject *module, const char *expr, PyObject **out)
{
	struct call_parts p = { NULL, NULL, NULL };
	enum factory_result result;
	PyObject *found = NULL;

	*out = NULL;
	result = take_apart(expr, &p);
	if (result == FACTORY_FOUND) {
		found = PyObject_GetAttr(module, p.name);
		if (found == NULL)
			result = PyErr_ExceptionMatches(PyExc_AttributeError) ?
			    FACTORY_NO_NAME : FACTORY_RAISED;
	}
	if (found != NULL && p.args != NULL) {
		result = call_factory(found, &p, out);
		Py_DECREF(found);
	} else {
		*out = found;
	}
	if (result == FACTORY_SYNTAX || result == FACTORY_NOT_LITERAL)
		PyErr_Clear();
	Py_XDECREF(p.name);
	Py_XDECREF(p.args);
	Py_XDECREF(p.kwargs);
	return result;
}

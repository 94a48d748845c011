dnl SPDX-License-Identifier: MIT
dnl Which Python runs the applications.
AC_DEFUN([BICORN_PYTHON],
[AC_ARG_VAR([PYTHON], [the Python that runs WSGI applications])
AC_ARG_WITH([python], [AS_HELP_STRING([--without-python],
	[do not build the host of WSGI applications])], [], [with_python=yes])
python_summary=no
AS_IF([test "$with_python" != no],
	[PYTHON=${PYTHON:-/usr/bin/python3}
	bicorn_eval() { $PYTHON -I -c "import sys, sysconfig as s; v = s.get_config_var; print($[]1)"; }
	PYTHON_TAG=cpython-`bicorn_eval '"%d%d" % sys.version_info@<:@:2@:>@'`
	PYTHON_CPPFLAGS="-I`bicorn_eval 'v("INCLUDEPY")'`"
	PYTHON_LIBS="-L`bicorn_eval 'v("LIBDIR")'` -lpython`bicorn_eval 'v("LDVERSION")'`"
	AC_DEFINE([HAVE_PYTHON], [1], [The host of WSGI applications is built.])
	AC_DEFINE_UNQUOTED([BICORN_PYTHON_TAG], ["$PYTHON_TAG"], [Folder of its module.])
	python_summary="$PYTHON ($PYTHON_TAG)"])
AC_SUBST([PYTHON_TAG])
AC_SUBST([PYTHON_CPPFLAGS])
AC_SUBST([PYTHON_LIBS])])

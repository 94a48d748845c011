dnl SPDX-License-Identifier: MIT
dnl Which Python runs WSGI applications: PYTHON=..., else the distribution's,
dnl else each python3 in PATH, the first that can be embedded.

dnl BICORN_PYTHON_LINKS(LDFLAGS): builds a program with the headers and the
dnl library of one Python, runs it, and takes it only if it turns out to be
dnl that very Python.  Another library of the same name is easily found first.
AC_DEFUN([BICORN_PYTHON_LINKS],
[bicorn_saved_CPPFLAGS=$CPPFLAGS bicorn_saved_LIBS=$LIBS
bicorn_saved_LDFLAGS=$LDFLAGS
CPPFLAGS="$CPPFLAGS -D_GNU_SOURCE -I$bicorn_py_include"
LDFLAGS="$LDFLAGS $1"
LIBS="$bicorn_py_library $DL_LIBS"
bicorn_py_works=no
AC_LINK_IFELSE([AC_LANG_SOURCE([[
#include <Python.h>
#include <dlfcn.h>

int
main(int argc, char **argv)
{
	Dl_info info;
	PyConfig config;
	char library[4096];

	PyConfig_InitPythonConfig(&config);
	config.use_environment = 0;
	config.site_import = 0;
	PyConfig_SetBytesString(&config, &config.program_name, argv[argc - 1]);
	if (PyStatus_Exception(Py_InitializeFromConfig(&config)) ||
	    dladdr((void *)Py_GetVersion, &info) == 0 ||
	    realpath(info.dli_fname, library) == NULL)
		return 1;
	printf("%s|", library);
	fflush(stdout);
	return PyRun_SimpleString("import sys\n"
	    "print(' '.join(sys.version.split()), sys.base_prefix, sep='|')") |
	    Py_FinalizeEx();
}]])],
	[bicorn_py_said=`unset LD_LIBRARY_PATH PYTHONHOME PYTHONPATH;
		./conftest$EXEEXT "$bicorn_py_executable" 2>&AS_MESSAGE_LOG_FD`
	AS_ECHO(["configure: expected $bicorn_py_identity"]) >&AS_MESSAGE_LOG_FD
	AS_ECHO(["configure: embedded $bicorn_py_said"]) >&AS_MESSAGE_LOG_FD
	AS_IF([test "$bicorn_py_said" = "$bicorn_py_identity"],
		[bicorn_py_works=yes])])
CPPFLAGS=$bicorn_saved_CPPFLAGS LIBS=$bicorn_saved_LIBS
LDFLAGS=$bicorn_saved_LDFLAGS])

dnl BICORN_PYTHON_TRY: is $bicorn_p such a Python?  Else adds to $bicorn_py_why.
AC_DEFUN([BICORN_PYTHON_TRY],
[AC_MSG_CHECKING([whether $bicorn_p can be embedded])
bicorn_py_rpath= bicorn_py_works=no
AS_IF([bicorn_py_vars=`"$bicorn_p" -I "$srcdir/m4/python-probe.py" 2>&AS_MESSAGE_LOG_FD`],
	[eval "$bicorn_py_vars"
	BICORN_PYTHON_LINKS([])
	AS_IF([test $bicorn_py_works = no],
		[bicorn_py_rpath=-Wl,-rpath,`AS_DIRNAME(["$bicorn_py_library"])`
		BICORN_PYTHON_LINKS([$bicorn_py_rpath])])
	AS_IF([test $bicorn_py_works = no],
		[bicorn_py_vars="$bicorn_py_version: a program linked with $bicorn_py_library does not work (see config.log)"])],
	[bicorn_py_vars=${bicorn_py_vars:-it does not run as Python 3}])
AS_IF([test $bicorn_py_works = yes],
	[AC_MSG_RESULT([yes, $bicorn_py_version])],
	[AC_MSG_RESULT([no, $bicorn_py_vars])
	bicorn_py_why="$bicorn_py_why
  $bicorn_p: $bicorn_py_vars"])])

AC_DEFUN([BICORN_PYTHON],
[AC_ARG_VAR([PYTHON], [the Python that runs WSGI applications])
AC_ARG_WITH([python], [AS_HELP_STRING([--without-python],
	[build without the host of WSGI applications])], [], [with_python=yes])
python_summary="no: WSGI applications will not run"
bicorn_py_why= bicorn_py_works=no
AS_CASE([$with_python],
	[no], [],
	[yes], [bicorn_candidates=$PYTHON
	AS_IF([test -z "$PYTHON"],
		[bicorn_candidates=/usr/bin/python3
		bicorn_saved_IFS=$IFS; IFS=:
		for bicorn_d in $PATH; do
			AS_CASE([$bicorn_d],
				[/usr/bin], [],
				[AS_IF([test -x "$bicorn_d/python3"],
				[bicorn_candidates=$bicorn_candidates:$bicorn_d/python3])])
		done
		IFS=$bicorn_saved_IFS
		bicorn_candidates=`AS_ECHO(["$bicorn_candidates"]) | tr : ' '`])],
	[bicorn_candidates=$with_python])
AS_IF([test "$with_python" != no],
	[for bicorn_p in $bicorn_candidates; do
		BICORN_PYTHON_TRY
		test $bicorn_py_works = no || break
	done
	AS_IF([test $bicorn_py_works = no],
		[AC_MSG_ERROR([no Python that can be embedded:$bicorn_py_why
Install what is missing, name another one (PYTHON=/path/to/python3), or leave WSGI out (--without-python).])])
	PYTHON=$bicorn_py_executable
	PYTHON_TAG=$bicorn_py_tag
	PYTHON_CPPFLAGS="-I$bicorn_py_include"
	PYTHON_LIBS=$bicorn_py_library
	PYTHON_LDFLAGS=$bicorn_py_rpath
	python_summary="$bicorn_py_version, $PYTHON"
	AC_DEFINE([HAVE_PYTHON], [1],
		[The host of WSGI applications is built.])
	AC_DEFINE_UNQUOTED([BICORN_PYTHON_TAG], ["$PYTHON_TAG"],
		[Folder of the module for the Python that was configured.])
	AC_DEFINE_UNQUOTED([BICORN_PYTHON_VERSION], ["$bicorn_py_minor"],
		[Its version.])])
AM_CONDITIONAL([WITH_PYTHON], [test "$with_python" != no])
AC_SUBST([PYTHON_TAG])
AC_SUBST([PYTHON_CPPFLAGS])
AC_SUBST([PYTHON_LIBS])
AC_SUBST([PYTHON_LDFLAGS])])

dnl SPDX-License-Identifier: MIT
dnl Macros of bicorn's configure.

dnl BICORN_ENABLE(NAME, HELP): --enable-NAME, off by default, as enable_NAME
AC_DEFUN([BICORN_ENABLE],
[AC_ARG_ENABLE([$1], [AS_HELP_STRING([--enable-$1], [$2])], [], [enable_$1=no])
AS_IF([test "$enable_$1" != no], [bicorn_checks="${bicorn_checks:+$bicorn_checks }$1"])])

dnl BICORN_LIB(VAR, MODULE, PACKAGE): a library that there must be
AC_DEFUN([BICORN_LIB],
[PKG_CHECK_MODULES([$1], [$2], [],
	[AC_MSG_ERROR([$2 is missing: install its development files (Debian: $3), or set $1_CFLAGS and $1_LIBS])])])

dnl dlopen() is in libc since glibc 2.34 and in musl.
AC_DEFUN([BICORN_DL],
[bicorn_saved_LIBS=$LIBS
AC_SEARCH_LIBS([dlopen], [dl], [], [AC_MSG_ERROR([dlopen() is missing])])
LIBS=$bicorn_saved_LIBS
AS_CASE([$ac_cv_search_dlopen], [-l*], [DL_LIBS=$ac_cv_search_dlopen], [DL_LIBS=])
AC_SUBST([DL_LIBS])])

dnl BICORN_TRY_FLAG(VAR, FLAGS, [OTHERWISE]): appends FLAGS to VAR if the
dnl compiler and the linker take them together with what is in use, without a
dnl warning.
AC_DEFUN([BICORN_TRY_FLAG],
[AC_MSG_CHECKING([whether $CC takes $2])
bicorn_saved_CFLAGS=$CFLAGS
CFLAGS="$CFLAGS $BICORN_CFLAGS -Werror $2"
AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <stdio.h>]], [[puts("");]])],
	[bicorn_taken=yes], [bicorn_taken=no])
CFLAGS=$bicorn_saved_CFLAGS
AC_MSG_RESULT([$bicorn_taken])
AS_IF([test $bicorn_taken = yes], [$1="$$1 $2"], [m4_default([$3], [:])])])

dnl Sets BICORN_CFLAGS, BICORN_CPPFLAGS and BICORN_LDFLAGS.
AC_DEFUN([BICORN_COMPILER_FLAGS],
[BICORN_CFLAGS="-pthread -fvisibility=hidden"
BICORN_CPPFLAGS=
BICORN_LDFLAGS=
m4_foreach_w([flag], [-Wall -Wextra -Wshadow -Wpointer-arith
	-Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings],
	[BICORN_TRY_FLAG([BICORN_CFLAGS], m4_quote(flag))
])
AS_IF([test "$enable_asan$enable_tsan" = yesyes],
	[AC_MSG_ERROR([--enable-asan and --enable-tsan exclude each other])])

bicorn_sanitizers=
AS_IF([test "$enable_asan" != no], [bicorn_sanitizers=address])
AS_IF([test "$enable_tsan" != no], [bicorn_sanitizers=thread])
AS_IF([test "$enable_ubsan" != no],
	[bicorn_sanitizers=${bicorn_sanitizers:+$bicorn_sanitizers,}undefined])
AS_IF([test "$enable_fuzz" != no && test -z "$bicorn_sanitizers"],
	[bicorn_sanitizers=address,undefined])
AS_IF([test -n "$bicorn_sanitizers"],
	[BICORN_TRY_FLAG([BICORN_CFLAGS],
		[-fsanitize=$bicorn_sanitizers -fno-omit-frame-pointer],
		[AC_MSG_ERROR([$CC has no -fsanitize=$bicorn_sanitizers])])
	AS_CASE([$bicorn_sanitizers], [*undefined*],
		[BICORN_TRY_FLAG([BICORN_CFLAGS], [-fno-sanitize-recover=undefined])])
	enable_debug=yes],
	dnl Not where the distribution has a level of its own.
	[AS_CASE(["$CPPFLAGS $CFLAGS"], [*_FORTIFY_SOURCE*], [],
		[BICORN_TRY_FLAG([BICORN_CPPFLAGS],
			[-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2])])
	BICORN_TRY_FLAG([BICORN_CFLAGS], [-fstack-protector-strong])
	BICORN_TRY_FLAG([BICORN_CFLAGS], [-fno-plt])
	BICORN_TRY_FLAG([BICORN_LDFLAGS], [-Wl,-z,relro -Wl,-z,now])])
dnl stderr and the like by the GOT instead of a copy of our own, which would
dnl be a symbol that the executable exports: gcc's name, then clang's.
BICORN_TRY_FLAG([BICORN_CFLAGS], [-mno-direct-extern-access],
	[BICORN_TRY_FLAG([BICORN_CFLAGS], [-fno-direct-access-external-data])])

FUZZ_CFLAGS=
AS_IF([test "$enable_fuzz" != no],
	[BICORN_TRY_FLAG([BICORN_CFLAGS], [-fsanitize=fuzzer-no-link],
		[AC_MSG_ERROR([$CC has no libFuzzer: ../configure CC=clang --enable-fuzz])])
	FUZZ_CFLAGS=-fsanitize=fuzzer])
AS_IF([test "$enable_debug" = no], [BICORN_CPPFLAGS="$BICORN_CPPFLAGS -DNDEBUG"])
AS_IF([test "$enable_werror" != no], [BICORN_CFLAGS="$BICORN_CFLAGS -Werror"])
AM_CONDITIONAL([FUZZ], [test "$enable_fuzz" != no])
AM_CONDITIONAL([SANITIZED], [test -n "$bicorn_sanitizers"])
BICORN_SANITIZERS=$bicorn_sanitizers
AC_SUBST([BICORN_CFLAGS])
AC_SUBST([BICORN_CPPFLAGS])
AC_SUBST([BICORN_LDFLAGS])
AC_SUBST([BICORN_SANITIZERS])
AC_SUBST([FUZZ_CFLAGS])])

dnl A Python that has pytest, to drive the test suite.
AC_DEFUN([BICORN_TEST_PYTHON],
[AC_ARG_VAR([TEST_PYTHON], [a Python with pytest, for make check])
AC_MSG_CHECKING([for a Python that has pytest])
AS_IF([test -z "$TEST_PYTHON"],
	[for bicorn_p in "$PYTHON" /usr/bin/python3 python3; do
		AS_IF([test -n "$bicorn_p" && "$bicorn_p" -c 'import pytest' >/dev/null 2>&1],
			[TEST_PYTHON=$bicorn_p; break])
	done])
AC_MSG_RESULT([${TEST_PYTHON:-none (Debian: python3-pytest)}])])

/* SPDX-License-Identifier: MIT */
#ifndef BICORN_BASE_MUST_H
#define BICORN_BASE_MUST_H

/*
 * must(x): x is false only when bicorn itself is wrong.  Prints where and
 * aborts.  Never fed with what a client, an application or an operator says.
 */

#define must(x) \
	((x) ? (void)0 : must_fail(__FILE__, __LINE__, __func__, #x))

_Noreturn void must_fail(const char *file, int line, const char *func,
    const char *text);

#endif

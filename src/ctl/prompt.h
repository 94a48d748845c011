/* SPDX-License-Identifier: MIT */
#ifndef BICORN_CTL_PROMPT_H
#define BICORN_CTL_PROMPT_H

/* Lines from a person: with readline where there is one. */

/* For completion: ends with NULL.  Before the first line. */
void prompt_begin(const char *const *words);

/* The next line, which the caller frees; NULL at the end. */
char *prompt_line(const char *prompt);

#endif

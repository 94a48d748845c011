/* SPDX-License-Identifier: MIT */
#include "ctl/prompt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_READLINE
#include <readline/history.h>
#include <readline/readline.h>

/* readline has no argument for its callbacks. */
static const char *const *known;

static char *
next_word(const char *begin, int state)
{
	static size_t at;

	if (state == 0)
		at = 0;
	for (; known[at] != NULL; at++)
		if (strncmp(known[at], begin, strlen(begin)) == 0)
			return strdup(known[at++]);
	return NULL;
}

void
prompt_begin(const char *const *words)
{
	known = words;
	rl_completion_entry_function = next_word;
	rl_readline_name = "bicornctl";
}

char *
prompt_line(const char *prompt)
{
	char *line = readline(prompt);

	if (line != NULL && line[0] != '\0')
		add_history(line);
	return line;
}
#else
void
prompt_begin(const char *const *words)
{
	(void)words;
}

char *
prompt_line(const char *prompt)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	fputs(prompt, stdout);
	fflush(stdout);
	n = getline(&line, &room, stdin);
	if (n < 0) {
		free(line);
		return NULL;
	}
	line[strcspn(line, "\n")] = '\0';
	return line;
}
#endif

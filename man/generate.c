/* SPDX-License-Identifier: MIT */
/*
 * Prints what the settings table says for etc/bicorn.conf and the manual
 * pages.  Runs during the build only.
 */

#include <stdio.h>
#include <string.h>

#include "conf/conf.h"

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*print)(FILE *out);
	} texts[] = {
		{ "sample", conf_sample },
		{ "options", conf_manual_options },
		{ "file", conf_manual_file },
		{ "gunicorn", conf_manual_gunicorn },
		{ "bash", conf_complete_bash },
		{ "zsh", conf_complete_zsh },
		{ "fish", conf_complete_fish },
	};

	for (size_t i = 0; argc == 2 && i < sizeof(texts) / sizeof(*texts);
	     i++) {
		if (strcmp(argv[1], texts[i].name) == 0) {
			texts[i].print(stdout);
			return fflush(stdout) != 0 || ferror(stdout);
		}
	}
	fputs("usage: generate sample|options|file|gunicorn|bash|zsh|fish\n", stderr);
	return 2;
}

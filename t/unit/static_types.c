/* SPDX-License-Identifier: MIT */
/* Media types by ending. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hosts/static/types.h"

#define UNKNOWN "application/octet-stream"

static void
is(const char *name, const char *type)
{
	assert_string_equal(types_find(name, strlen(name)), type);
}

static void
test_known(void **state)
{
	/* Enough of them to notice an entry out of order. */
	static const char *const endings[] = { "7z", "aac", "atom", "avif",
		"bz2", "css", "csv", "eot", "gif", "glb", "gltf", "gz", "htm",
		"html", "ico", "ics", "jpeg", "jpg", "js", "json", "jsonld",
		"m4a", "map", "md", "mjs", "mp3", "mp4", "mpeg", "odt", "oga",
		"ogg", "ogv", "opus", "otf", "pdf", "png", "rss", "rtf", "svg",
		"tar", "tgz", "tif", "tiff", "ttf", "txt", "vtt", "wasm",
		"wav", "webm", "webmanifest", "webp", "woff", "woff2",
		"xhtml", "xml", "xz", "yaml", "yml", "zip", "zst" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		char name[40] = "file.";

		strcat(name, endings[i]);
		assert_string_not_equal(types_find(name, strlen(name)),
		    UNKNOWN);
	}
	is("index.html", "text/html; charset=utf-8");
	is("a/b.css", "text/css; charset=utf-8");
	is("a.JS", "text/javascript; charset=utf-8");
	is("a.b.svg", "image/svg+xml");
	is("a.tar.gz", "application/gzip");
}

static void
test_unknown(void **state)
{
	(void)state;
	is("", UNKNOWN);
	is("Makefile", UNKNOWN);
	is("html", UNKNOWN);
	is("a.", UNKNOWN);
	is("a.html.", UNKNOWN);
	is("a.html/b", UNKNOWN);
	is("a.webmanifestx", UNKNOWN);
	is("a.abcdefghijklmnopqrstuvwxyz", UNKNOWN);
	is("a.h\xc3\xa9", UNKNOWN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * The table of media types.  It is part of the program and not read from the
 * system's mime.types, so that a site looks the same on every machine.
 */
#include "types.h"

#include <stdlib.h>
#include <string.h>

#define ENDING_MAX 12
#define TEXT(type) "text/" type "; charset=utf-8"
#define XML(type) "application/" type "; charset=utf-8"

struct type {
	char ending[ENDING_MAX]; /* lower case */
	const char *value;
};

/* clang-format off */
/* Sorted by ending: it is searched by halves. */
static const struct type TYPES[] = {
	{ "7z", "application/x-7z-compressed" },
	{ "aac", "audio/aac" },
	{ "apk", "application/vnd.android.package-archive" },
	{ "apng", "image/apng" },
	{ "asc", TEXT("plain") },
	{ "atom", XML("atom+xml") },
	{ "avi", "video/x-msvideo" },
	{ "avif", "image/avif" },
	{ "bin", "application/octet-stream" },
	{ "bmp", "image/bmp" },
	{ "br", "application/x-brotli" },
	{ "bz2", "application/x-bzip2" },
	{ "c", TEXT("plain") },
	{ "cjs", TEXT("javascript") },
	{ "conf", TEXT("plain") },
	{ "css", TEXT("css") },
	{ "csv", TEXT("csv") },
	{ "deb", "application/vnd.debian.binary-package" },
	{ "doc", "application/msword" },
	{ "docx", "application/"
	    "vnd.openxmlformats-officedocument.wordprocessingml.document" },
	{ "eot", "application/vnd.ms-fontobject" },
	{ "epub", "application/epub+zip" },
	{ "flac", "audio/flac" },
	{ "geojson", "application/geo+json" },
	{ "gif", "image/gif" },
	{ "glb", "model/gltf-binary" },
	{ "gltf", "model/gltf+json" },
	{ "gz", "application/gzip" },
	{ "h", TEXT("plain") },
	{ "heic", "image/heic" },
	{ "heif", "image/heif" },
	{ "htm", TEXT("html") },
	{ "html", TEXT("html") },
	{ "ico", "image/vnd.microsoft.icon" },
	{ "ics", TEXT("calendar") },
	{ "iso", "application/x-iso9660-image" },
	{ "jar", "application/java-archive" },
	{ "jpeg", "image/jpeg" },
	{ "jpg", "image/jpeg" },
	{ "js", TEXT("javascript") },
	{ "json", "application/json" },
	{ "jsonld", "application/ld+json" },
	{ "jxl", "image/jxl" },
	{ "kml", "application/vnd.google-earth.kml+xml" },
	{ "log", TEXT("plain") },
	{ "m3u8", "application/vnd.apple.mpegurl" },
	{ "m4a", "audio/mp4" },
	{ "m4v", "video/mp4" },
	{ "map", "application/json" },
	{ "markdown", TEXT("markdown") },
	{ "md", TEXT("markdown") },
	{ "mid", "audio/midi" },
	{ "midi", "audio/midi" },
	{ "mjs", TEXT("javascript") },
	{ "mkv", "video/x-matroska" },
	{ "mov", "video/quicktime" },
	{ "mp3", "audio/mpeg" },
	{ "mp4", "video/mp4" },
	{ "mpd", "application/dash+xml" },
	{ "mpeg", "video/mpeg" },
	{ "mpg", "video/mpeg" },
	{ "odp", "application/vnd.oasis.opendocument.presentation" },
	{ "ods", "application/vnd.oasis.opendocument.spreadsheet" },
	{ "odt", "application/vnd.oasis.opendocument.text" },
	{ "oga", "audio/ogg" },
	{ "ogg", "audio/ogg" },
	{ "ogv", "video/ogg" },
	{ "opus", "audio/ogg" },
	{ "otf", "font/otf" },
	{ "pdf", "application/pdf" },
	{ "png", "image/png" },
	{ "pptx", "application/"
	    "vnd.openxmlformats-officedocument.presentationml.presentation" },
	{ "ps", "application/postscript" },
	{ "rar", "application/vnd.rar" },
	{ "rpm", "application/x-rpm" },
	{ "rss", XML("rss+xml") },
	{ "rst", TEXT("plain") },
	{ "rtf", "application/rtf" },
	{ "svg", "image/svg+xml" },
	{ "tar", "application/x-tar" },
	{ "text", TEXT("plain") },
	{ "tgz", "application/gzip" },
	{ "tif", "image/tiff" },
	{ "tiff", "image/tiff" },
	{ "toml", "application/toml" },
	{ "ts", "video/mp2t" },
	{ "tsv", TEXT("tab-separated-values") },
	{ "ttc", "font/collection" },
	{ "ttf", "font/ttf" },
	{ "txt", TEXT("plain") },
	{ "vcf", TEXT("vcard") },
	{ "vtt", TEXT("vtt") },
	{ "wasm", "application/wasm" },
	{ "wav", "audio/wav" },
	{ "weba", "audio/webm" },
	{ "webm", "video/webm" },
	{ "webmanifest", "application/manifest+json" },
	{ "webp", "image/webp" },
	{ "woff", "font/woff" },
	{ "woff2", "font/woff2" },
	{ "xhtml", XML("xhtml+xml") },
	{ "xls", "application/vnd.ms-excel" },
	{ "xlsx", "application/"
	    "vnd.openxmlformats-officedocument.spreadsheetml.sheet" },
	{ "xml", XML("xml") },
	{ "xz", "application/x-xz" },
	{ "yaml", "application/yaml" },
	{ "yml", "application/yaml" },
	{ "zip", "application/zip" },
	{ "zst", "application/zstd" },
};
/* clang-format on */

static int
compare(const void *key, const void *member)
{
	return strcmp(key, ((const struct type *)member)->ending);
}

const char *
types_find(const char *name, size_t len)
{
	char ending[ENDING_MAX];
	const struct type *found = NULL;
	size_t n = 0;

	while (n < len && n < ENDING_MAX && name[len - 1 - n] != '.' &&
	    name[len - 1 - n] != '/')
		n++;
	if (n > 0 && n < len && n < ENDING_MAX && name[len - 1 - n] == '.') {
		size_t i;

		for (i = 0; i < n; i++) {
			char c = name[len - n + i];

			ending[i] =
			    (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
		}
		ending[n] = '\0';
		found = bsearch(ending, TYPES, sizeof(TYPES) / sizeof(TYPES[0]),
		    sizeof(TYPES[0]), compare);
	}
	return found != NULL ? found->value : "application/octet-stream";
}

// SPDX-License-Identifier: GPL-2.0
#include "abi_doc.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

#define MAX_PATHS	512

struct path_set {
	unsigned int nr;
	char *path[MAX_PATHS];
	bool met[MAX_PATHS];
};

static void add_path(struct path_set *set, const char *path)
{
	REQUIRE(set->nr < MAX_PATHS, "more than %d attributes", MAX_PATHS);
	set->path[set->nr++] = strdup(path);
}

static void walk(const char *path, struct path_set *set)
{
	char sub[PATH_MAX];
	struct dirent *e;
	DIR *dir = opendir(path);

	REQUIRE(dir, "%s: %s", path, strerror(errno));
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		if (e->d_type == DT_DIR)
			walk(sub, set);
		else
			add_path(set, sub);
	}
	closedir(dir);
}

/* Does @doc mean @path, or what is above it? */
static bool doc_matches(const char *doc, const char *path, bool above)
{
	while (*doc && *path) {
		if (*doc == '<') {
			doc = strchr(doc, '>');
			if (!doc)
				return false;
			doc++;
			path += strcspn(path, "/");
		} else if (*doc++ != *path++) {
			return false;
		}
	}
	return !*doc && (!*path || (above && *path == '/'));
}

static void read_doc(const char *doc, struct path_set *docs)
{
	char line[512], what[512], file[PATH_MAX + 128], self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	FILE *f;

	REQUIRE(len > 0, "/proc/self/exe");
	self[len] = 0;
	snprintf(file, sizeof(file), "%s/../../%s", dirname(self), doc);
	f = fopen(file, "r");
	if (!f)
		tap_skip("no %s", doc);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "What: %511s", what) == 1)
			add_path(docs, what);
	fclose(f);
}

/* Is one of @words, apart by '|', in @path? */
static bool has_word(const char *path, const char *words)
{
	char word[64];

	while (words && *words) {
		size_t len = strcspn(words, "|");

		snprintf(word, sizeof(word), "%.*s", (int)len, words);
		if (strstr(path, word))
			return true;
		words += len + (words[len] == '|');
	}
	return false;
}

void expect_documented(const char *doc, const char *root, const char *without)
{
	static struct path_set live, docs;

	read_doc(doc, &docs);
	walk(root, &live);
	for (unsigned int i = 0; i < live.nr; i++) {
		for (unsigned int d = 0; d < docs.nr; d++) {
			live.met[i] |= doc_matches(docs.path[d], live.path[i], false);
			docs.met[d] |= doc_matches(docs.path[d], live.path[i], true);
		}
		EXPECT(live.met[i], "%s is not documented", live.path[i]);
	}
	for (unsigned int d = 0; d < docs.nr; d++)
		EXPECT(docs.met[d] || has_word(docs.path[d], without),
		       "%s is documented and not there", docs.path[d]);
}

void expect_file(const char *root, const char *path, mode_t mode, int lines)
{
	char full[PATH_MAX], buf[65536];
	struct stat st;
	ssize_t len;
	int nr = 0;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	if (stat(full, &st)) {
		EXPECT(false, "%s: %s", full, strerror(errno));
		return;
	}
	EXPECT((st.st_mode & 07777) == mode, "%s has mode %o, expected %o", path,
	       st.st_mode & 07777, mode);
	EXPECT(st.st_uid == 0 && st.st_gid == 0, "%s is not root's", path);
	if (!(mode & 0444))
		return;
	len = read_file(full, buf, sizeof(buf));
	EXPECT(len > 0 && buf[len - 1] == '\n', "%s does not end its line", path);
	for (ssize_t i = 0; i < len; i++)
		nr += buf[i] == '\n';
	EXPECT(lines < 0 || nr == lines, "%s has %d lines, expected %d", path, nr, lines);
}

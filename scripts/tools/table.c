// SPDX-License-Identifier: GPL-2.0
/* Columns as wide as their widest cell, and no wider. */
#include "kvmmeter.h"
#include "out.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void table_init(struct table *t, unsigned int cols, uint64_t left)
{
	memset(t, 0, sizeof(*t));
	t->cols = cols;
	t->left = left;
}

void table_row(struct table *t)
{
	t->cell = km_alloc(t->cell, t->rows + 1, sizeof(*t->cell));
	t->cell[t->rows] = km_alloc(NULL, t->cols, sizeof(char *));
	memset(t->cell[t->rows++], 0, t->cols * sizeof(char *));
}

void table_cell(struct table *t, unsigned int col, const char *fmt, ...)
{
	char **cell = &t->cell[t->rows - 1][col];
	va_list ap;

	free(*cell);
	va_start(ap, fmt);
	if (vasprintf(cell, fmt, ap) < 0)
		km_die("out of memory");
	va_end(ap);
}

void table_print(struct table *t, const char *(*style)(unsigned int row))
{
	unsigned int *width = km_alloc(NULL, t->cols, sizeof(*width));
	unsigned int r, c;

	memset(width, 0, t->cols * sizeof(*width));
	for (r = 0; r < t->rows; r++)
		for (c = 0; c < t->cols; c++)
			if (t->cell[r][c] && strlen(t->cell[r][c]) > width[c])
				width[c] = strlen(t->cell[r][c]);
	for (r = 0; r < t->rows; r++) {
		unsigned int pad = 0;

		if (style)
			fputs(style(r), stdout);
		for (c = 0; c < t->cols; c++) {
			const char *s = t->cell[r][c] ?: "";
			unsigned int fill = width[c] - strlen(s);

			if (!(t->left >> c & 1)) {
				pad += fill;
				fill = 0;
			}
			if (*s) {
				printf("%*s%s", pad, "", s);
				pad = 0;
			}
			pad += fill + 2;
		}
		if (style)
			fputs(style(-1), stdout);
		putchar('\n');
	}
	free(width);
}

void table_free(struct table *t)
{
	unsigned int r, c;

	for (r = 0; r < t->rows; r++) {
		for (c = 0; c < t->cols; c++)
			free(t->cell[r][c]);
		free(t->cell[r]);
	}
	free(t->cell);
	memset(t, 0, sizeof(*t));
}

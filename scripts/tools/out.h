/* SPDX-License-Identifier: GPL-2.0 */
/* Output that no guest, VMM or user can spoil: JSON, escapes, units, tables. */
#ifndef _KVMMETER_OUT_H
#define _KVMMETER_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* out.c: strings; the result is printable ASCII */
const char *out_escape(const char *s, char *buf, size_t len);

/* out.c: JSON on stdout; a NULL key inside an array */
void json_open(const char *key, char bracket);
void json_close(char bracket);
void json_str(const char *key, const char *s);
void json_u64(const char *key, unsigned long long v);
void json_num(const char *key, double v);
void json_bool(const char *key, bool v);
void json_end(void);

/* out.c: numbers for people */
#define OUT_LEN	32
const char *out_ns(unsigned long long ns, char *buf);
const char *out_count(unsigned long long n, char *buf);
const char *out_date(unsigned long long realtime_ns, char *buf);

/* table.c: columns as wide as their widest cell */
struct table {
	char ***cell;
	unsigned int rows, cols;
	uint64_t left;			/* bit n: column n is aligned to the left */
};

void table_init(struct table *t, unsigned int cols, uint64_t left);
void table_row(struct table *t);
void table_cell(struct table *t, unsigned int col, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void table_print(struct table *t, const char *(*style)(unsigned int row));
void table_free(struct table *t);

#endif /* _KVMMETER_OUT_H */

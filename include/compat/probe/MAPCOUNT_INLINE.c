// SPDX-License-Identifier: GPL-2.0
/* folio_mapcount() is inline: it cannot be declared without that. */
#include <linux/mm.h>

int probe(const struct folio *folio);
int probe(const struct folio *folio)
{
	return folio_mapcount(folio) + folio_large_mapcount(folio);
}

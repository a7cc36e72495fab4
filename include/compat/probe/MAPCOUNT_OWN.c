// SPDX-License-Identifier: GPL-2.0
/* folio_mapcount() is a function of the kernel's, not for modules. */
#include <linux/mm.h>

int folio_mapcount(struct folio *folio);
int probe(struct folio *folio);
int probe(struct folio *folio)
{
	return folio_test_double_map(folio);
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Words of newer kernel headers that sparse 0.6.4 does not know. It reports no
 * warning at all after an error, so that it would silently check nothing.
 */
#define __typeof_unqual__	__typeof__
#define __builtin_strlen(s)	(sizeof(s) - 1)

/* SPDX-License-Identifier: GPL-2.0 */
/* What a kernel configured for gcc says of its compiler, made true for clang. */
#undef CONFIG_CC_HAS_NAMED_AS
#undef CONFIG_CC_HAS_NAMED_AS_FIXED_SANITIZERS
#undef CONFIG_CC_HAS_TYPEOF_UNQUAL
#undef CONFIG_CC_HAS_MULTIDIMENSIONAL_NONSTRING
#undef CONFIG_USE_X86_SEG_SUPPORT

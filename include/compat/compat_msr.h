/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_MSR_H
#define _COMPAT_MSR_H

#include <asm/msr.h>

/*
 * Writes that the event msr:write_msr shows; wrmsrl() became wrmsrq(), and with it
 * the others their names.
 */
#ifdef COMPAT_WRMSRQ
#define compat_wrmsr(msr, value)	wrmsrq(msr, value)
#define compat_wrmsr_safe(msr, value)	wrmsrq_safe(msr, value)
#define compat_rdmsr_safe(msr, value)	rdmsrq_safe(msr, value)
#define compat_rdmsr_safe_on_cpu(cpu, msr, value)	rdmsrq_safe_on_cpu(cpu, msr, value)
#else
#define compat_wrmsr(msr, value)	wrmsrl(msr, value)
#define compat_wrmsr_safe(msr, value)	wrmsrl_safe(msr, value)
#define compat_rdmsr_safe(msr, value)	rdmsrl_safe(msr, value)
#define compat_rdmsr_safe_on_cpu(cpu, msr, value)	rdmsrl_safe_on_cpu(cpu, msr, value)
#endif

#endif /* _COMPAT_MSR_H */

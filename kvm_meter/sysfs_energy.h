/* SPDX-License-Identifier: GPL-2.0 */
/* The directory energy/. */
#ifndef _KVM_METER_SYSFS_ENERGY_H
#define _KVM_METER_SYSFS_ENERGY_H

#include <linux/sysfs.h>

/* Not for everybody: power tells what others compute (CVE-2020-8694). */
#define METER_ENERGY_MODE	0400

extern const struct attribute_group meter_energy_group;

#endif /* _KVM_METER_SYSFS_ENERGY_H */

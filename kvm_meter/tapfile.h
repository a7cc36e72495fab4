/* SPDX-License-Identifier: GPL-2.0 */
/* Which network device is behind an open file? */
#ifndef _KVM_METER_TAPFILE_H
#define _KVM_METER_TAPFILE_H

#include <linux/types.h>

struct btf_blob;
struct file;
struct net_device;

enum meter_file_kind {
	FILE_OTHER,
	FILE_TUN,		/* /dev/net/tun: the device's far end is the guest's */
	FILE_TAP,		/* /dev/tapN of macvtap or ipvtap: the device is the guest's */
	FILE_VHOST,
};

enum meter_file_kind kvm_meter_file_kind(const struct file *file);
struct net_device *kvm_meter_file_dev(const struct file *file, enum meter_file_kind kind);
bool kvm_meter_tun_known(void);
bool kvm_meter_tun_layout(const struct btf_blob *vmlinux);
void kvm_meter_tun_learn(void);
void kvm_meter_tun_forget(void);

#endif /* _KVM_METER_TAPFILE_H */

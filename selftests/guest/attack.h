/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A Linux guest whose kernel is in an attacker's hands: what attacker.ko, which is
 * that kernel, and attack, which is the guest's init, have to say to each other.
 *
 * /dev/attacker is a page of the guest's memory. read(2) and write(2) of 8 bytes
 * are loads and stores of the kernel's, EFAULT if the CPU refused them; behind the
 * page is a word with its guest-physical address. mmap(2) gives the page itself,
 * whereby O_DIRECT makes disks read and write it.
 */
#ifndef SELFTESTS_GUEST_ATTACK_H
#define SELFTESTS_GUEST_ATTACK_H

#include <linux/ioctl.h>

#define ATTACK_PAGE	4096
#define ATTACK_SECRET	0x5ec2e75ec2e75ec2ull	/* each word up to ATTACK_MARK */
#define ATTACK_MARK	0x400			/* where stores go */
#define ATTACK_CODE	0x800			/* a function */
#define ATTACK_DISK	0xe00			/* where disks write to, a sector */

/* Run that function: EFAULT if the CPU refused. */
#define ATTACK_RUN	_IO('A', 1)
/* Send the secret from where it is by the network interface of this index. */
#define ATTACK_SEND	_IO('A', 2)

#define ATTACK_PROTO	0x88b5			/* of Ethernet: for experiments */
#define ATTACK_SENT	512			/* bytes of the secret in a packet */

#endif /* SELFTESTS_GUEST_ATTACK_H */

/* SPDX-License-Identifier: GPL-2.0 */
/* What is written to zones/create. Pure: selftests/unit/ compiles it too. */
#ifndef _KVM_HARDEN_ZONE_PARSE_H
#define _KVM_HARDEN_ZONE_PARSE_H

#include "zone_map.h"

enum zone_action {
	ZONE_STOP,
	ZONE_FAULT,
	ZONE_KILL,
	ZONE_LOG,
	ZONE_ACTIONS
};

/* Ways around a zone; a zone that leaves one open has to be asked for. */
#define ZONE_EMULATOR	1u	/* KVM's instruction emulator */
#define ZONE_PARAVIRT	2u	/* what KVM reads and writes on the guest's word */
#define ZONE_DEVICE	4u	/* the VMM's threads and vhost */
#define ZONE_ALIAS	8u	/* another guest address of the same memory */
#define ZONE_WAYS	4

#define ZONE_NAME_LEN	32

struct zone_spec {
	u64 vm, gpa, size;
	u32 deny, allow;
	enum zone_action action;
	char name[ZONE_NAME_LEN];
};

extern const char * const zone_actions[ZONE_ACTIONS];

int zone_parse(const char *text, struct zone_spec *spec, const char **why);
int zone_print_deny(char *buf, size_t size, u32 deny);
int zone_print_ways(char *buf, size_t size, u32 ways);

#endif /* _KVM_HARDEN_ZONE_PARSE_H */

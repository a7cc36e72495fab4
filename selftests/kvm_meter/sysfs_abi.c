// SPDX-License-Identifier: GPL-2.0
/* The exported tree, attribute by attribute: there, of the right mode, documented. */
#include "meter.h"
#include "vmm.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define DOC		"Documentation/ABI/testing/sysfs-kernel-kvm_meter"
#define MAX_PATHS	512

static const char *const maps[] = {
	"kvm_meter_vcpu", "kvm_meter_vm", "kvm_meter_ended", "kvm_meter_owner", "kvm_meter_info",
};

static struct vm *vm;
static __u64 id;

static void start(void)
{
	vm = vm_create(2, 0);
	for (int i = 0; i < 2; i++) {
		vcpu_program(&vm->vcpus[i], guest_io, 10, 0);
		vcpu_run(&vm->vcpus[i]);
	}
	id = meter_wait_tid(getpid());
	REQUIRE(WAIT_FOR(meter_exists("vms/%llu/vcpus/1", id), METER_APPEARS_MS), "vcpus/1");
}

static void expect_attr(const char *path, mode_t mode)
{
	char full[PATH_MAX], buf[65536];
	struct stat st;
	ssize_t len;

	snprintf(full, sizeof(full), METER_SYSFS "/%s", path);
	if (stat(full, &st)) {
		EXPECT(false, "%s: %s", full, strerror(errno));
		return;
	}
	EXPECT((st.st_mode & 07777) == mode, "%s has mode %o, expected %o", path,
	       st.st_mode & 07777, mode);
	EXPECT(st.st_uid == 0 && st.st_gid == 0, "%s is not root's", path);
	len = read_file(full, buf, sizeof(buf));
	EXPECT(len > 0 && buf[len - 1] == '\n', "%s does not end its line", path);
	if (len > 0 && !strstr(path, "exit_reasons"))
		EXPECT(strchr(buf, '\n') == buf + len - 1, "%s has more than a line", path);
}

static void expect_counters(const char *dir)
{
	static const char *const names[] = {
#define NAME(name, desc)	#name,
		KVM_METER_COUNTERS(NAME)
#undef NAME
		"exit_reasons",
	};
	char path[PATH_MAX];

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		expect_attr(path, 0444);
	}
}

static void test_attributes(void)
{
	static const char *const top[] = { "version", "abi_version", "status" };
	static const char *const health[] = {
		"missed_hooks", "unmatched", "vcpu_overflows", "vm_overflows", "clock_backwards",
		"unknown_reasons", "owner_overflows",
	};
	static const char *const who[] = { "pid", "comm", "created_ns", "uid", "cgroup" };
	char path[PATH_MAX];

	start();
	for (unsigned int i = 0; i < ARRAY_SIZE(top); i++)
		expect_attr(top[i], 0444);
	expect_attr("armed", 0644);
	for (unsigned int i = 0; i < ARRAY_SIZE(health); i++) {
		snprintf(path, sizeof(path), "health/%s", health[i]);
		expect_attr(path, 0444);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(maps); i++) {
		snprintf(path, sizeof(path), "maps/%s", maps[i]);
		expect_attr(path, 0444);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(who); i++) {
		snprintf(path, sizeof(path), "vms/%llu/%s", id, who[i]);
		expect_attr(path, 0444);
	}
	snprintf(path, sizeof(path), "vms/%llu", id);
	expect_counters(path);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "vms/%llu/vcpus/%d", id, i);
		expect_counters(path);
		snprintf(path, sizeof(path), "vms/%llu/vcpus/%d/tid", id, i);
		expect_attr(path, 0444);
		snprintf(path, sizeof(path), "vms/%llu/vcpus/%d/cpu", id, i);
		expect_attr(path, 0444);
	}
	EXPECT_EQ(meter_u64("abi_version"), KVM_METER_ABI_VERSION, "abi_version");
}

/* A path with each number replaced, as the documentation writes it. */
struct path_set {
	unsigned int nr;
	char *path[MAX_PATHS];
	bool met[MAX_PATHS];
};

static void add_path(struct path_set *set, const char *path)
{
	REQUIRE(set->nr < MAX_PATHS, "more than %d attributes", MAX_PATHS);
	set->path[set->nr++] = strdup(path);
}

static void walk(const char *path, struct path_set *set)
{
	char sub[PATH_MAX];
	struct dirent *e;
	DIR *dir = opendir(path);

	REQUIRE(dir, "%s: %s", path, strerror(errno));
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		if (e->d_type == DT_DIR)
			walk(sub, set);
		else
			add_path(set, sub);
	}
	closedir(dir);
}

/* Does @doc, where <anything> stands for one component, mean @path? */
static bool path_matches(const char *doc, const char *path)
{
	while (*doc && *path) {
		if (*doc == '<') {
			doc = strchr(doc, '>');
			if (!doc)
				return false;
			doc++;
			path += strcspn(path, "/");
		} else if (*doc++ != *path++) {
			return false;
		}
	}
	return !*doc && !*path;
}

/* Entries for directories have no file of their own. */
static bool is_dir(const struct path_set *live, const char *doc)
{
	char prefix[512];

	for (unsigned int i = 0; i < live->nr; i++) {
		snprintf(prefix, sizeof(prefix), "%s", live->path[i]);
		for (char *slash; (slash = strrchr(prefix, '/')); *slash = 0)
			if (path_matches(doc, prefix))
				return true;
	}
	return false;
}

static void test_documented(void)
{
	static struct path_set live, docs;
	char line[512], what[512], file[PATH_MAX + 128], self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	FILE *f;

	REQUIRE(len > 0, "/proc/self/exe");
	self[len] = 0;
	snprintf(file, sizeof(file), "%s/../../" DOC, dirname(self));
	f = fopen(file, "r");
	if (!f)
		tap_skip("no " DOC);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "What: %511s", what) == 1)
			add_path(&docs, what);
	fclose(f);
	start();
	walk(METER_SYSFS, &live);
	for (unsigned int i = 0; i < live.nr; i++) {
		for (unsigned int d = 0; d < docs.nr; d++) {
			if (path_matches(docs.path[d], live.path[i])) {
				live.met[i] = true;
				docs.met[d] = true;
			}
		}
		EXPECT(live.met[i], "%s is not documented", live.path[i]);
	}
	for (unsigned int d = 0; d < docs.nr; d++)
		EXPECT(docs.met[d] || strncmp(docs.path[d], METER_SYSFS, strlen(METER_SYSFS)) ||
		       is_dir(&live, docs.path[d]), "%s is documented and not there",
		       docs.path[d]);
}

static void test_maps(void)
{
	struct kvm_meter_info info;
	struct meter_map map;
	unsigned int named = 0;
	char buf[256];
	void *value;

	for (unsigned int i = 0; i < ARRAY_SIZE(maps); i++) {
		meter_map_open(&map, maps[i]);
		value = calloc(1, map.value_size);
		EXPECT_EQ(-bpf_map_update(map.fd, 0, value), EPERM, "errno of a write to a map");
		EXPECT(mmap(NULL, map.len, PROT_READ | PROT_WRITE, MAP_SHARED, map.fd, 0) ==
		       MAP_FAILED, "%s can be mapped to write", maps[i]);
		EXPECT(mprotect(map.mem, map.len, PROT_READ | PROT_WRITE),
		       "a mapping of %s can be made writable", maps[i]);
		free(value);
		if (!run_shell(NULL, 0, "command -v bpftool >/dev/null")) {
			run_shell(buf, sizeof(buf),
				  "bpftool map show name %.15s | sed -n '1s/:.*//p'", maps[i]);
			EXPECT_EQ(strtoull(buf, NULL, 10), map.id, "id by bpftool");
		}
		meter_map_close(&map);
	}
	meter_map_open(&map, "kvm_meter_info");
	memcpy(&info, meter_map_at(&map, 0), sizeof(info));
	EXPECT_EQ(map.value_size, sizeof(info), "size of kvm_meter_info");
	EXPECT_EQ(info.abi_version, KVM_METER_ABI_VERSION, "abi_version");
	EXPECT_EQ(info.vendor, kvm_is_intel() ? KVM_METER_VENDOR_INTEL : KVM_METER_VENDOR_AMD,
		  "vendor");
	EXPECT(info.clock_mult, "clock_mult is 0");
	EXPECT_EQ(info.armed, 1, "armed");
	for (int i = 0; i < KVM_METER_REASONS; i++)
		named += !!info.names[i].name[0];
	EXPECT(named > 50, "%u reasons with a name", named);
	EXPECT_EQ(info.reasons, named, "reasons");
	meter_map_open(&map, "kvm_meter_vcpu");
	EXPECT_EQ(map.value_size, sizeof(struct kvm_meter_vcpu), "size of kvm_meter_vcpu");
	EXPECT_EQ(map.max_entries, info.vcpu_slots, "vcpu_slots");
}

/* What the contract promises to a person with bpftool. */
static void test_bpftool(void)
{
	static const char *const words[] = { "guest_ns", "hist", "state", "reasons", "first_ns" };
	char buf[64];

	if (run_shell(NULL, 0, "command -v bpftool >/dev/null"))
		tap_skip("no bpftool");
	/* A dump prints every slot: few of them. */
	meter_reload("max_vcpus=16");
	start();
	EXPECT(!run_shell(NULL, 0, "bpftool map dump name kvm_meter_vcpu >/tmp/kvm_meter.dump"),
	       "bpftool map dump name kvm_meter_vcpu failed");
	for (unsigned int i = 0; i < ARRAY_SIZE(words); i++) {
		run_shell(buf, sizeof(buf), "grep -c '\"%s\":' /tmp/kvm_meter.dump", words[i]);
		EXPECT(atoi(buf) >= 16, "%s stands %d times in the dump", words[i], atoi(buf));
	}
	run_shell(buf, sizeof(buf), "grep -c '\"vm_id\": %llu,' /tmp/kvm_meter.dump", id);
	EXPECT_EQ(atoi(buf), 2, "vCPUs of this VM in the dump");
	EXPECT(!run_shell(NULL, 0, "bpftool map dump name kvm_meter_info | grep -q '\"cpuid\"'"
			  " || bpftool map dump name kvm_meter_info | grep -q '\"CPUID\"'"),
	       "no reason is called CPUID in kvm_meter_info");
	unlink("/tmp/kvm_meter.dump");
}

static const struct tap_test tests[] = {
	{ "every attribute is there, with its mode", test_attributes, 0 },
	{ "documentation and tree say the same", test_documented, 0 },
	{ "maps are frozen and what the header says", test_maps, 0 },
	{ "bpftool prints names", test_bpftool, 120 },
};

int main(int argc, char **argv)
{
	return meter_main(tests, ARRAY_SIZE(tests), argc, argv);
}

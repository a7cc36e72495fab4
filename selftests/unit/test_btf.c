// SPDX-License-Identifier: GPL-2.0
/* The look-up of a structure's member in BTF, also in BTF that is broken. */
#include "../../kvm_meter/btf_parse.c"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tap.h"

#define BLOB_MAX	1024

/* A small BTF, as pahole would make it. */
struct blob {
	unsigned char *data;
	__u32 size;
};

static const char strings[] = "\0vcpu_svm\0vcpu\0vmcb\0flag\0int\0look";
#define S_VCPU_SVM	1
#define S_VCPU		10
#define S_VMCB		15
#define S_FLAG		20
#define S_INT		25
#define S_LOOK		29

static void put(struct blob *b, __u32 value)
{
	REQUIRE(b->size + 4 <= BLOB_MAX, "blob");
	memcpy(b->data + b->size, &value, 4);
	b->size += 4;
}

static struct blob make(__u32 name_base)
{
	struct blob b = { calloc(1, BLOB_MAX), sizeof(struct btf_header) };
	struct btf_header h = {
		.magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = sizeof(h),
	};

	/* int; struct vcpu_svm { int vcpu (at 0), vmcb (at 6632), flag : 1; } */
	put(&b, name_base + S_INT);
	put(&b, BTF_KIND_INT << 24);
	put(&b, 4);
	put(&b, 32);
	put(&b, name_base + S_VCPU_SVM);
	put(&b, BTF_KIND_STRUCT << 24 | 1u << 31 | 3);
	put(&b, 8000);
	put(&b, name_base + S_VCPU);
	put(&b, 1);
	put(&b, 0);
	put(&b, name_base + S_VMCB);
	put(&b, 1);
	put(&b, 6632 * 8);
	put(&b, name_base + S_FLAG);
	put(&b, 1);
	put(&b, 1u << 24 | 7000 * 8);
	/* int look(int vcpu, int flag); types 3, its prototype, and 4 in all */
	put(&b, 0);
	put(&b, BTF_KIND_FUNC_PROTO << 24 | 2);
	put(&b, 1);
	put(&b, name_base + S_VCPU);
	put(&b, 1);
	put(&b, name_base + S_FLAG);
	put(&b, 1);
	put(&b, name_base + S_LOOK);
	put(&b, BTF_KIND_FUNC << 24);
	put(&b, name_base ? 4 + 3 : 3);
	h.type_len = b.size - sizeof(h);
	h.str_off = h.type_len;
	h.str_len = sizeof(strings);
	memcpy(b.data + b.size, strings, sizeof(strings));
	b.size += sizeof(strings);
	memcpy(b.data, &h, sizeof(h));
	return b;
}

/* On an allocation of its exact size, so that the sanitizer sees its end. */
static long look(const struct blob *base, const struct blob *split, const char *type,
		 const char *member)
{
	struct btf_blob b = { malloc(base->size), base->size }, s = {};
	long ret;

	memcpy((void *)b.data, base->data, base->size);
	if (split) {
		s.data = malloc(split->size);
		s.size = split->size;
		memcpy((void *)s.data, split->data, split->size);
	}
	ret = btf_member_offset(&b, split ? &s : NULL, type, member);
	free((void *)b.data);
	free((void *)s.data);
	return ret;
}

static void test_found(void)
{
	struct blob base = make(0), split = make(sizeof(strings));

	EXPECT_EQ(look(&base, NULL, "vcpu_svm", "vcpu"), 0, "vcpu");
	EXPECT_EQ(look(&base, NULL, "vcpu_svm", "vmcb"), 6632, "vmcb");
	EXPECT_EQ(look(&base, &split, "vcpu_svm", "vmcb"), 6632, "vmcb in a module's BTF");
	EXPECT_EQ(-look(&base, NULL, "vcpu_svm", "nothing"), ENOENT, "no such member");
	EXPECT_EQ(-look(&base, NULL, "vcpu_vmx", "vmcb"), ESRCH, "no such structure");
	EXPECT_EQ(-look(&base, NULL, "int", "vmcb"), ESRCH, "no structure");
	EXPECT(look(&base, NULL, "vcpu_svm", "flag") < 0, "a bit field has an offset");
}

static int args(const struct blob *base, const struct blob *split, const char *function,
		const char *names)
{
	struct btf_blob b = { base->data, base->size }, s = {};

	if (split) {
		s.data = split->data;
		s.size = split->size;
	}
	return btf_check_args(&b, split ? &s : NULL, function, names);
}

static void test_args(void)
{
	struct blob base = make(0), split = make(sizeof(strings));

	EXPECT(!args(&base, NULL, "look", "vcpu flag"), "both");
	EXPECT(!args(&base, NULL, "look", "vcpu"), "the first of them");
	EXPECT(!args(&base, &split, "look", "vcpu flag"), "in a module's BTF");
	EXPECT_EQ(-args(&base, NULL, "look", "flag vcpu"), EDOM, "another order");
	EXPECT_EQ(-args(&base, NULL, "look", "vcpu flags"), EDOM, "another name");
	EXPECT_EQ(-args(&base, NULL, "look", "vcpu fla"), EDOM, "a part of a name");
	EXPECT_EQ(-args(&base, NULL, "look", "vcpu flag int"), EDOM, "one more");
	EXPECT_EQ(-args(&base, NULL, "vcpu_svm", "vcpu"), ESRCH, "no function");
}

static void test_unknown_kind(void)
{
	struct blob b = make(0);

	b.data[sizeof(struct btf_header) + 7] = 31;
	EXPECT(look(&b, NULL, "vcpu_svm", "vmcb") < 0, "an unknown kind is passed over");
}

static void test_short(void)
{
	struct blob b = make(0);

	for (__u32 size = 0; size < b.size; size++) {
		struct blob cut = { b.data, size };

		EXPECT(look(&cut, NULL, "vcpu_svm", "vmcb") < 0, "%u bytes of %u do", size,
		       b.size);
	}
}

static void test_random(void)
{
	struct blob good = make(0);

	srandom(4);
	for (int i = 0; i < 200000; i++) {
		unsigned char data[BLOB_MAX];
		struct blob bad = { data, good.size };
		long off;

		memcpy(data, good.data, good.size);
		for (int n = random() % 4; n >= 0; n--)
			data[random() % good.size] = random();
		off = look(&bad, NULL, "vcpu_svm", "vmcb");
		EXPECT(off >= -4095 && off < 1l << 32, "offset %ld", off);
		if (tap_failed())
			break;
	}
}

/* This machine's own, if it has one. */
static void test_vmlinux(void)
{
	static unsigned char data[64 << 20];
	struct blob b = { data, 0 };
	int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY);
	ssize_t n;

	if (fd < 0)
		tap_skip("no /sys/kernel/btf/vmlinux");
	while ((n = read(fd, data + b.size, sizeof(data) - b.size)) > 0)
		b.size += n;
	close(fd);
	EXPECT_EQ(look(&b, NULL, "list_head", "prev"), 8, "prev in struct list_head");
	EXPECT_EQ(look(&b, NULL, "list_head", "next"), 0, "next in struct list_head");
	EXPECT_EQ(-look(&b, NULL, "list_head", "vmcb"), ENOENT, "no such member");
}

static const struct tap_test tests[] = {
	{ "btf: offsets, and what is not there", test_found, 0 },
	{ "btf: arguments of a function", test_args, 0 },
	{ "btf: an unknown kind is an error", test_unknown_kind, 0 },
	{ "btf: cut short anywhere", test_short, 0 },
	{ "btf: random damage", test_random, 0 },
	{ "btf: the kernel's own", test_vmlinux, 0 },
};

int main(int argc, char **argv)
{
	static const struct tap_suite suite = { tests, ARRAY_SIZE(tests), NULL, NULL };

	return tap_main(&suite, argc, argv);
}

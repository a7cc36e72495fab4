// SPDX-License-Identifier: GPL-2.0
/* A guest's kernel that attacks a page of its own memory, see attack.h. */
#define pr_fmt(fmt) "attacker: " fmt

#include <linux/etherdevice.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/kdebug.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <asm/asm.h>

#include "attack.h"

static struct page *page;
static void *va;
static void *code;

/* Without the checks of copy_from_kernel_nofault(), which is not for modules. */
static bool load(const u64 *p, u64 *value)
{
	u64 done = 0, v = 0;

	asm volatile("1:	mov (%2), %0\n"
		     "	mov $1, %1\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : "+r" (v), "+r" (done) : "r" (p) : "memory");
	*value = v;
	return done;
}

static bool store(u64 *p, u64 value)
{
	u64 done = 0;

	asm volatile("1:	mov %2, (%1)\n"
		     "	mov $1, %0\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : "+r" (done) : "r" (p), "r" (value) : "memory");
	return done;
}

static ssize_t attacker_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	u64 value = page_to_phys(page);

	if (len != sizeof(value) || *pos < 0 || *pos > ATTACK_PAGE || *pos % sizeof(value))
		return -EINVAL;
	if (*pos != ATTACK_PAGE && !load(va + *pos, &value))
		return -EFAULT;
	return copy_to_user(buf, &value, sizeof(value)) ? -EFAULT : sizeof(value);
}

static ssize_t attacker_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	u64 value;

	if (len != sizeof(value) || *pos < 0 || *pos >= ATTACK_PAGE || *pos % sizeof(value))
		return -EINVAL;
	if (copy_from_user(&value, buf, sizeof(value)))
		return -EFAULT;
	return store(va + *pos, value) ? sizeof(value) : -EFAULT;
}

/* Where a fault at the first instruction of the page goes on: as if it had returned. */
static bool faulted;

static int on_die(struct notifier_block *nb, unsigned long what, void *data)
{
	struct pt_regs *regs = ((struct die_args *)data)->regs;

	if (what != DIE_GPF || regs->ip != (unsigned long)code)
		return NOTIFY_DONE;
	faulted = true;
	regs->ip = *(unsigned long *)regs->sp;
	regs->sp += sizeof(unsigned long);
	return NOTIFY_STOP;
}

static struct notifier_block die_nb = { .notifier_call = on_die };

static long attack_run(void)
{
	void (*function)(void) = code;

	faulted = false;
	function();
	return READ_ONCE(faulted) ? -EFAULT : 0;
}

/* The page itself goes to the device, nobody copies from it. */
static long attack_send(int ifindex)
{
	struct net_device *dev = dev_get_by_index(&init_net, ifindex);
	struct sk_buff *skb;
	struct ethhdr *eth;
	int ret;

	if (!dev)
		return -ENODEV;
	skb = alloc_skb(LL_RESERVED_SPACE(dev) + ETH_HLEN, GFP_KERNEL);
	if (!skb) {
		dev_put(dev);
		return -ENOMEM;
	}
	skb_reserve(skb, LL_RESERVED_SPACE(dev));
	skb_reset_mac_header(skb);
	eth = skb_put(skb, ETH_HLEN);
	eth_broadcast_addr(eth->h_dest);
	ether_addr_copy(eth->h_source, dev->dev_addr);
	eth->h_proto = htons(ATTACK_PROTO);
	skb_set_network_header(skb, ETH_HLEN);
	get_page(page);
	skb_add_rx_frag(skb, 0, page, 0, ATTACK_SENT, ATTACK_SENT);
	skb->protocol = htons(ATTACK_PROTO);
	skb->dev = dev;
	ret = dev_queue_xmit(skb);
	dev_put(dev);
	return ret ? -EIO : 0;
}

static long attacker_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case ATTACK_RUN:
		return attack_run();
	case ATTACK_SEND:
		return attack_send(arg);
	}
	return -ENOTTY;
}

static int attacker_mmap(struct file *file, struct vm_area_struct *vma)
{
	return vm_insert_page(vma, vma->vm_start, page);
}

static const struct file_operations attacker_fops = {
	.owner = THIS_MODULE,
	.read = attacker_read,
	.write = attacker_write,
	.unlocked_ioctl = attacker_ioctl,
	.mmap = attacker_mmap,
};

static struct miscdevice attacker_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "attacker",
	.fops = &attacker_fops,
};

/* vmap() makes nothing executable: whoever has taken a kernel over does it by hand. */
static void *map_code(void)
{
	void *at = vmap(&page, 1, VM_MAP, PAGE_KERNEL_RO);
	unsigned int level;
	pte_t *pte;

	if (!at)
		return NULL;
	pte = lookup_address((unsigned long)at, &level);
	if (!pte || level != PG_LEVEL_4K) {
		vunmap(at);
		return NULL;
	}
	WRITE_ONCE(*(u64 *)pte, *(u64 *)pte & ~_PAGE_NX);
	asm volatile("invlpg (%0)" : : "r" (at) : "memory");
	return at;
}

static int __init attacker_init(void)
{
	/* endbr64; ret */
	static const u8 function[] = { 0xf3, 0x0f, 0x1e, 0xfa, 0xc3 };
	int ret;

	page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!page)
		return -ENOMEM;
	va = page_address(page);
	for (unsigned int i = 0; i < ATTACK_MARK / sizeof(u64); i++)
		((u64 *)va)[i] = ATTACK_SECRET;
	memcpy(va + ATTACK_CODE, function, sizeof(function));
	code = map_code();
	if (!code) {
		__free_page(page);
		return -ENOMEM;
	}
	code += ATTACK_CODE;
	ret = register_die_notifier(&die_nb) ?: misc_register(&attacker_dev);
	if (ret) {
		unregister_die_notifier(&die_nb);
		vunmap(code - ATTACK_CODE);
		__free_page(page);
	}
	return ret;
}

/* It is never unloaded. */
module_init(attacker_init);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Guest: attacks on a page of its own");

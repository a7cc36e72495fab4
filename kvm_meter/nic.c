// SPDX-License-Identifier: GPL-2.0
#include "nic.h"

#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/hash.h>
#include <linux/netdevice.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <net/rtnetlink.h>

#include "health.h"
#include "registry.h"
#include "tapfile.h"

#define TABLE_BITS	8
#define BIRTHS		64
/* Of a descriptor table: files and descriptors per hold of its lock. */
#define SLICE		1024
#define SLICE_FDS	(64 * SLICE)
/* Of a process: tables, files, holds, devices. */
#define TABLES_MAX	4
#define FILES_MAX	65536
#define SLICES_MAX	256
#define DEVS_MAX	64
/* One with more files than a slice is looked at in each so-many-th pass. */
#define PASSES		16
#define HELD_BITS	8

struct meter_nic {
	struct hlist_node by_dev;
	struct list_head link;		/* in its process's list, or free */
	struct meter_process *process;
	struct net_device *dev;		/* no reference: the notifier takes it away */
	bool far;			/* the guest is at the far end of it */
	bool open;			/* was found by the last scan of all its files */
	u64 bytes[2];			/* to and from the guest, as added up */
};

/* Devices that have come lately, with what they had counted by then. */
static struct birth {
	struct net_device *dev;
	u64 ns;
	u64 rx, tx;
} births[BIRTHS];

static struct meter_nic *nics;
static unsigned int nic_slots;
static DEFINE_MUTEX(nic_mutex);		/* for all of this; also under the RTNL */
static struct hlist_head by_dev[1 << TABLE_BITS];
static LIST_HEAD(free_nics);
static unsigned int next_birth;
/* Slots held, by payer; payers that share a bucket are told apart by a scan. */
static unsigned int held[1 << HELD_BITS];

static unsigned int *held_by(const struct meter_process *p)
{
	return &held[hash_32(p->payer, HELD_BITS)];
}

static void dev_bytes(struct net_device *dev, bool far, u64 *bytes)
{
	struct rtnl_link_stats64 stats;

	dev_get_stats(dev, &stats);
	bytes[0] = far ? stats.tx_bytes : stats.rx_bytes;
	bytes[1] = far ? stats.rx_bytes : stats.tx_bytes;
}

static void nic_settle(struct meter_nic *nic)
{
	u64 bytes[2];
	int i;

	lockdep_assert_held(&nic_mutex);
	dev_bytes(nic->dev, nic->far, bytes);
	for (i = 0; i < 2; i++) {
		if (bytes[i] > nic->bytes[i])
			nic->process->net[i] += bytes[i] - nic->bytes[i];
		nic->bytes[i] = bytes[i];
	}
}

/* Whoever has the device next does not count what has been counted. */
static void nic_free(struct meter_nic *nic)
{
	unsigned int i;

	lockdep_assert_held(&nic_mutex);
	for (i = 0; i < BIRTHS; i++) {
		if (births[i].dev == nic->dev) {
			births[i].rx = nic->bytes[nic->far];
			births[i].tx = nic->bytes[!nic->far];
		}
	}
	hlist_del(&nic->by_dev);
	--*held_by(nic->process);
	nic->dev = NULL;
	nic->process = NULL;
	list_move(&nic->link, &free_nics);
}

static struct meter_nic *nic_find(const struct net_device *dev)
{
	struct meter_nic *nic;

	hlist_for_each_entry(nic, &by_dev[hash_ptr(dev, TABLE_BITS)], by_dev)
		if (nic->dev == dev)
			return nic;
	return NULL;
}

/* From when on it counts: what it did before the process was met is not its. */
static void nic_base(struct meter_nic *nic)
{
	unsigned int i;

	for (i = 0; i < BIRTHS; i++) {
		const struct birth *b = &births[i];

		if (b->dev == nic->dev && b->ns >= nic->process->born_ns) {
			nic->bytes[0] = nic->far ? b->tx : b->rx;
			nic->bytes[1] = nic->far ? b->rx : b->tx;
			return;
		}
	}
	dev_bytes(nic->dev, nic->far, nic->bytes);
}

/* Slots that a user may still take: nobody but root gets more than three quarters. */
static unsigned int room_for(const struct meter_process *p)
{
	unsigned int i, count = 0, share = nic_slots / 4 * 3;

	lockdep_assert_held(&nic_mutex);
	if (!p->payer)
		return nic_slots;
	if (*held_by(p) + DEVS_MAX <= share)
		return DEVS_MAX;
	for (i = 0; i < nic_slots; i++)
		count += nics[i].process && nics[i].process->payer == p->payer;
	return count < share ? share - count : 0;
}

/*
 * A process has it open. It counts for who was found with it first, also when that
 * one has closed it: vhost-net or io_uring may hold the file. Until it goes, or
 * another VMM has it open and the first has not.
 */
static void nic_claim(struct meter_process *p, struct net_device *dev, bool far,
		      unsigned int *room)
{
	struct meter_nic *nic = nic_find(dev);

	lockdep_assert_held(&nic_mutex);
	if (nic && nic->process == p)
		nic->open = true;
	if (nic && nic->open)
		return;
	/* Once that has changed the notifier may have come and gone. */
	if (READ_ONCE(dev->reg_state) != NETREG_REGISTERED)
		return;
	if (!*room || (!nic && list_empty(&free_nics))) {
		health_count(HEALTH_unseen_devices);
		return;
	}
	if (nic) {
		nic_settle(nic);
		nic_free(nic);
	}
	--*room;
	++*held_by(p);
	nic = list_first_entry(&free_nics, struct meter_nic, link);
	nic->process = p;
	nic->dev = dev;
	nic->far = far;
	nic->open = true;
	nic_base(nic);
	hlist_add_head(&nic->by_dev, &by_dev[hash_ptr(dev, TABLE_BITS)]);
	list_move(&nic->link, &p->nics);
}

/* A walk through a process's descriptor tables. */
struct walk {
	unsigned int next;		/* descriptor to go on with */
	unsigned int files, vhost;
	unsigned int devs;
	bool strange;			/* a device that cannot be told */
	bool cut;
	struct {
		struct net_device *dev;	/* held */
		bool far;
	} dev[DEVS_MAX];
};

/* Under RCU: the device goes only after that. */
static void note(struct walk *w, struct net_device *dev, bool far)
{
	unsigned int i;

	for (i = 0; i < w->devs; i++)
		if (w->dev[i].dev == dev)
			return;
	if (w->devs == DEVS_MAX) {
		w->cut = true;
		return;
	}
	dev_hold(dev);
	w->dev[w->devs].far = far;
	w->dev[w->devs++].dev = dev;
}

/* Under the descriptor table's lock, which keeps the file. */
static void visit(struct walk *w, struct file *file)
{
	enum meter_file_kind kind = kvm_meter_file_kind(file);
	struct net_device *dev;

	w->files++;
	if (kind == FILE_VHOST) {
		w->vhost++;
	} else if (kind == FILE_TUN && !kvm_meter_tun_known()) {
		w->strange = true;
	} else if (kind != FILE_OTHER) {
		rcu_read_lock();
		dev = kvm_meter_file_dev(file, kind);
		if (dev)
			note(w, dev, kind == FILE_TUN);
		rcu_read_unlock();
	}
}

/*
 * Not iterate_fd(): that goes through all of a table, however empty, at once. A table
 * has as many descriptors as its highest ever asked for. Returns false at its end.
 */
static bool walk_slice(struct walk *w, struct files_struct *files)
{
	unsigned int end, left = SLICE;
	struct fdtable *fdt;
	struct file *file;
	bool more;

	spin_lock(&files->file_lock);
	fdt = files_fdtable(files);
	end = min(fdt->max_fds, w->next + SLICE_FDS);
	for (; left; left--) {
		w->next = find_next_bit(fdt->open_fds, end, w->next);
		if (w->next >= end)
			break;
		file = rcu_dereference_check_fdtable(files, fdt->fd[w->next++]);
		if (file)
			visit(w, file);
	}
	more = w->next < fdt->max_fds;
	spin_unlock(&files->file_lock);
	return more;
}

/*
 * A thread for each table that a process's threads have: mostly there is one. Workers
 * of the kernel's have none. Returns how many; true in @more if there are others.
 */
static unsigned int with_files(struct signal_struct *signal, struct task_struct **tasks,
			       bool *more)
{
	const struct files_struct *tables[TABLES_MAX], *files;
	struct task_struct *task;
	unsigned int i, nr = 0;

	rcu_read_lock();
	__for_each_thread(signal, task) {
		files = READ_ONCE(task->files);
		for (i = 0; i < nr && tables[i] != files; i++)
			;
		if (!files || i < nr)
			continue;
		*more = nr == TABLES_MAX;
		if (*more)
			break;
		tables[nr] = files;
		tasks[nr++] = get_task_struct(task);
	}
	rcu_read_unlock();
	return nr;
}

static void walk_files(struct signal_struct *signal, struct walk *w)
{
	struct task_struct *tasks[TABLES_MAX];
	unsigned int i, nr, slices = 0;
	bool more;

	memset(w, 0, sizeof(*w));
	nr = with_files(signal, tasks, &w->cut);
	for (i = 0; i < nr; i++) {
		w->next = 0;
		do {
			task_lock(tasks[i]);
			more = tasks[i]->files && walk_slice(w, tasks[i]->files);
			task_unlock(tasks[i]);
			cond_resched();
		} while (more && w->files < FILES_MAX && ++slices < SLICES_MAX);
		w->cut |= more;
		put_task_struct(tasks[i]);
	}
}

static void walk_put(struct walk *w)
{
	while (w->devs)
		dev_put(w->dev[--w->devs].dev);
}

/**
 * kvm_meter_nics_scan() - Look which devices a process has open
 * @p: process
 *
 * Context: process, vm_mutex held, which keeps it; not p->mutex: readers need that.
 */
void kvm_meter_nics_scan(struct meter_process *p)
{
	struct meter_nic *nic;
	unsigned int i, room;
	struct walk *w;

	lockdep_assert_held(&vm_mutex);
	if (p->scan_in) {
		p->scan_in--;
		return;
	}
	w = kmalloc(sizeof(*w), GFP_KERNEL);
	if (!w)
		return;
	walk_files(p->signal, w);
	if (w->strange)
		health_count(HEALTH_unseen_devices);
	if (w->cut)
		health_count(HEALTH_cut_walks);
	p->vhost_files = w->vhost;
	p->scan_in = w->files > SLICE ? PASSES - 1 : 0;

	mutex_lock(&nic_mutex);
	/* What was not found is closed, if all was looked at. */
	list_for_each_entry(nic, &p->nics, link)
		nic->open = nic->open && (w->cut || w->strange);
	room = room_for(p);
	for (i = 0; i < w->devs; i++)
		nic_claim(p, w->dev[i].dev, w->dev[i].far, &room);
	mutex_unlock(&nic_mutex);
	walk_put(w);
	kfree(w);
}

/**
 * kvm_meter_nics_settle() - Add up what a process's devices have counted
 * @p: process
 * @now: gets the sums, those of devices that have gone included
 *
 * Context: process.
 */
void kvm_meter_nics_settle(struct meter_process *p, u64 *now)
{
	struct meter_nic *nic;

	mutex_lock(&nic_mutex);
	list_for_each_entry(nic, &p->nics, link)
		nic_settle(nic);
	now[SHARE_NET_RX] = p->net[0];
	now[SHARE_NET_TX] = p->net[1];
	mutex_unlock(&nic_mutex);
}

/* The process has no VM any more. */
void kvm_meter_nics_drop(struct meter_process *p)
{
	struct meter_nic *nic, *next;

	mutex_lock(&nic_mutex);
	list_for_each_entry_safe(nic, next, &p->nics, link)
		nic_free(nic);
	mutex_unlock(&nic_mutex);
}

static bool is_kind(const struct net_device *dev, const char *kind)
{
	return dev->rtnl_link_ops && !strcmp(dev->rtnl_link_ops->kind, kind);
}

static bool could_be_guests(const struct net_device *dev)
{
	return is_kind(dev, "tun") || is_kind(dev, "macvtap") || is_kind(dev, "ipvtap");
}

static void born(struct net_device *dev)
{
	struct birth *b = &births[next_birth++ % BIRTHS];
	struct meter_process *p;
	unsigned int room;
	u64 bytes[2];

	lockdep_assert_held(&nic_mutex);
	dev_bytes(dev, false, bytes);
	b->dev = dev;
	b->ns = ktime_get_mono_fast_ns();
	b->rx = bytes[0];
	b->tx = bytes[1];
	/* A VMM makes its own: it may be gone before it is looked for. */
	if (!is_kind(dev, "tun"))
		return;
	rcu_read_lock();
	p = kvm_meter_process_find(current->signal);
	rcu_read_unlock();
	/* If it is being given up just now, its devices are dropped after this. */
	if (!p)
		return;
	room = room_for(p);
	nic_claim(p, dev, true, &room);
}

static void gone(struct net_device *dev)
{
	struct meter_nic *nic = nic_find(dev);
	unsigned int i;

	if (nic) {
		nic_settle(nic);
		nic_free(nic);
	}
	for (i = 0; i < BIRTHS; i++)
		if (births[i].dev == dev)
			births[i].dev = NULL;
}

/* A device that changes its namespace goes and comes again. */
static int on_netdev(struct notifier_block *nb, unsigned long event, void *data)
{
	struct net_device *dev = netdev_notifier_info_to_dev(data);

	if (event != NETDEV_REGISTER && event != NETDEV_UNREGISTER)
		return NOTIFY_DONE;
	mutex_lock(&nic_mutex);
	/* Whatever is behind a file may have been taken for a guest's. */
	if (event == NETDEV_UNREGISTER)
		gone(dev);
	else if (could_be_guests(dev))
		born(dev);
	mutex_unlock(&nic_mutex);
	return NOTIFY_DONE;
}

static struct notifier_block netdev_nb = { .notifier_call = on_netdev };

int kvm_meter_nic_init(unsigned int slots)
{
	unsigned int i;
	int ret;

	nics = kvcalloc(slots, sizeof(*nics), GFP_KERNEL);
	if (!nics)
		return -ENOMEM;
	nic_slots = slots;
	for (i = 0; i < slots; i++)
		list_add_tail(&nics[i].link, &free_nics);
	ret = register_netdevice_notifier(&netdev_nb);
	if (ret)
		kvfree(nics);
	return ret;
}

void kvm_meter_nic_exit(void)
{
	unregister_netdevice_notifier(&netdev_nb);
	kvfree(nics);
}

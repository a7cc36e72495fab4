// SPDX-License-Identifier: GPL-2.0
/*
 * peer OBJECT COMMAND...: run COMMAND with OBJECT's BPF programs attached, then
 * tell on stderr how many exits they saw.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct stat_rec {
	__u64 count, time_ns, hist[24];
};

static unsigned long long total(struct bpf_object *obj)
{
	int fd = bpf_object__find_map_fd_by_name(obj, "stats");
	unsigned long long sum = 0;
	__u64 key, *prev = NULL;
	struct stat_rec s;

	while (!bpf_map_get_next_key(fd, prev, &key)) {
		if (!bpf_map_lookup_elem(fd, &key, &s))
			sum += s.count;
		prev = &key;
	}
	return sum;
}

int main(int argc, char **argv)
{
	struct bpf_program *prog;
	struct bpf_object *obj;
	int status = 1;
	pid_t pid;

	if (argc < 3) {
		fputs("usage: peer OBJECT COMMAND...\n", stderr);
		return 2;
	}
	obj = bpf_object__open_file(argv[1], NULL);
	if (!obj || bpf_object__load(obj)) {
		fprintf(stderr, "peer: cannot load %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	bpf_object__for_each_program(prog, obj) {
		if (!bpf_program__attach(prog)) {
			fprintf(stderr, "peer: cannot attach %s: %s\n",
				bpf_program__name(prog), strerror(errno));
			return 1;
		}
	}
	pid = fork();
	if (!pid) {
		execv(argv[2], argv + 2);
		fprintf(stderr, "peer: %s: %s\n", argv[2], strerror(errno));
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	fprintf(stderr, "peer: %llu exits seen\n", total(obj));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

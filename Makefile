# SPDX-License-Identifier: GPL-2.0
# Thin: kbuild does the building (see Kbuild), scripts/ the rest.

KDIR ?= /lib/modules/$(shell uname -r)/build

export KERNEL TEST JOBS V MAKECMDGOALS

all: modules

# No --no-print-directory here: kbuild of 7.x takes it as a sign of its own.
modules modules_install: | headers
	@$(MAKE) -C $(KDIR) M=$(CURDIR) $@

install: modules_install

headers:
	@[ -f "$(KDIR)/Makefile" ] || { \
	  echo "No kernel headers in $(KDIR)."; \
	  echo "For the running kernel: apt-get install linux-headers-$$(uname -r)"; \
	  echo "For another: make KDIR=/path/to/its/build"; \
	  exit 1; } >&2

demo:
	@scripts/demo.sh

check:
	@scripts/check.sh

bench:
	@scripts/bench.sh

lint:
	@scripts/lint/run.sh

clean:
	@if [ -f "$(KDIR)/Makefile" ]; then \
	  $(MAKE) -C $(KDIR) M=$(CURDIR) clean; \
	else \
	  find kvm_meter kvm_harden \( -name '*.o' -o -name '*.ko' -o -name '*.mod*' \
	    -o -name '.*.cmd' \) -delete 2>/dev/null || :; \
	fi
	@for dir in selftests scripts/tools; do \
	  [ ! -f $$dir/Makefile ] || $(MAKE) --no-print-directory -s -C $$dir clean; \
	done

help:
	@scripts/help.sh

.PHONY: all modules modules_install install headers demo check bench lint clean help

# SPDX-License-Identifier: GPL-2.0
# Thin: kbuild does the building (see Kbuild), scripts/ the rest.

KDIR ?= /lib/modules/$(shell uname -r)/build

all: modules

# Neither --no-print-directory nor an exported MAKECMDGOALS may get into kbuild:
# newer ones take them for signs of their own.
modules modules_install: | headers
	@$(MAKE) -C $(KDIR) M=$(CURDIR) $@

install: modules_install

headers:
	@[ -f "$(KDIR)/Makefile" ] || { \
	  echo "No kernel headers in $(KDIR)."; \
	  echo "For the running kernel: apt-get install linux-headers-$$(uname -r)"; \
	  echo "For another: make KDIR=/path/to/its/build"; \
	  exit 1; } >&2

demo check bench lint: export RIG_GOAL = $@

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
	@for dir in selftests selftests/bench scripts/tools; do \
	  [ ! -f $$dir/Makefile ] || $(MAKE) --no-print-directory -s -C $$dir clean; \
	done

help:
	@scripts/help.sh

.PHONY: all modules modules_install install headers demo check bench lint clean help
